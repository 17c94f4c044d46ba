/* Pictures: each opens large. The arrow keys show the next one, Escape closes it. */

/** A dialog that shows one of several pictures. */
function viewer(all) {
  const image = html("img");
  const text = html("p", { "aria-live": "polite" });
  const button = (label, sign, step) =>
    html("button", { type: "button", "aria-label": label, title: label, onclick: () => show(now + step) }, sign);
  const close = html("button", { type: "button", "aria-label": "Close", title: "Close" }, "\u2715");
  const steps = all.length > 1 ? [button("Previous picture", "\u2190", -1), button("Next picture", "\u2192", 1)] : [];
  const bar = html("div", { class: "bar" }, text, steps, close);
  const dialog = html("dialog", { class: "viewer", "aria-label": "Picture" }, bar, html("div", { class: "room" }, image));
  let now = 0;

  function show(number) {
    now = (number + all.length) % all.length;
    fill(image, { src: all[now].source, alt: altOf(all[now]) }, []);
    text.replaceChildren(html("b", {}, all[now].name), ` ${all[now].caption}`);
    if (!dialog.open) dialog.showModal();
  }
  dialog.addEventListener("click", (event) => {
    if (!steps.includes(event.target)) dialog.close();
  });
  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && steps.length) show(now + step);
  });
  return { dialog, show };
}

const altOf = (picture) => [picture.name, picture.caption].filter(Boolean).join(": ");

function pictures() {
  const all = [...page.pictures, ...page.galleries.flatMap((gallery) => gallery.pictures)];
  if (!all.length) return null;
  const { dialog, show } = viewer(all);
  const figure = (picture) => {
    const image = html("img", { src: picture.source, alt: altOf(picture) });
    const open = () => show(all.indexOf(picture));
    const button = html("button", { type: "button", title: "Enlarge", onclick: open }, image);
    const caption = html("figcaption", {}, html("b", {}, picture.name), picture.caption ? ` ${picture.caption}` : "");
    return html("figure", {}, button, caption);
  };
  const kind = page.wide_pictures ? "pictures wide" : "pictures";
  const own = html("div", { class: kind }, page.pictures.map(figure));
  const beside = page.galleries.map((gallery) => [
    html("h3", {}, gallery.title),
    html("div", { class: "pictures beside" }, gallery.pictures.map(figure)),
  ]);
  return html("section", { id: "pictures" }, heading("Pictures"), own, beside, dialog);
}
