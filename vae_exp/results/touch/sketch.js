/* A picture that one can draw on, with mouse, finger or keys. */

/** The image that drawings on it come close to in place and size: where the light of the test images lies. */
const lightOf = (image) => {
  let [sum, x, y, squares] = [0, 0, 0, 0];
  for (let i = 0; i < HEIGHT * WIDTH; i++) {
    sum += image[i];
    x += image[i] * (i % WIDTH);
    y += image[i] * Math.floor(i / WIDTH);
  }
  [x, y] = [x / sum, y / sum];
  for (let i = 0; i < HEIGHT * WIDTH; i++)
    squares += image[i] * ((i % WIDTH) - x) ** 2 + image[i] * (Math.floor(i / WIDTH) - y) ** 2;
  return { sum, x, y, radius: Math.sqrt(squares / sum) };
};
const average = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Whether the images are light signs on a dark ground, such as digits: their border is dark. */
function areSigns() {
  if (CHANNELS !== 1 || HEIGHT < 8 || WIDTH < 8) return false;
  const border = (image) => image.filter((_, i) => i < WIDTH || i >= PIXELS - WIDTH || i % WIDTH === 0);
  return average(examples.map(({ image }) => average(border(image)))) < 0.05;
}
const SIGNS = areSigns();
const lights = SIGNS ? examples.map(({ image }) => lightOf(image)).filter(({ sum }) => sum > 0) : [];
const USUAL = SIGNS
  ? Object.fromEntries(["x", "y", "radius"].map((name) => [name, average(lights.map((light) => light[name]))]))
  : null;

/** The image moved and scaled so that its light lies where that of the test images does. */
function centred(image) {
  const { sum, x, y, radius } = lightOf(image);
  if (!(sum > 1) || !(radius > 0.5)) return image;
  const scale = Math.min(3, Math.max(1 / 3, radius / USUAL.radius));
  const at = (column, line) =>
    column < 0 || line < 0 || column >= WIDTH || line >= HEIGHT ? 0 : image[line * WIDTH + column];
  return image.map((_, i) => {
    const [column, line] = [x + ((i % WIDTH) - USUAL.x) * scale, y + (Math.floor(i / WIDTH) - USUAL.y) * scale];
    const [left, top] = [Math.floor(column), Math.floor(line)];
    const [right, low] = [column - left, line - top];
    const upper = (1 - right) * at(left, top) + right * at(left + 1, top);
    return (1 - low) * upper + low * ((1 - right) * at(left, top + 1) + right * at(left + 1, top + 1));
  });
}

class Sketch {
  /** `change()` is called when something was drawn. */
  constructor(change) {
    this.change = change;
    this.image = new Float32Array(PIXELS);
    this.light = true; // what is drawn: light or dark
    this.fresh = false; // whether the drawing began on an empty ground
    this.view = picture("The picture to encode. Draw on it.", {
      tabindex: 0, role: "application", "aria-roledescription": "drawing", "aria-describedby": "sketch-help",
    });
    this.view.node.classList.add("sketch");
    this.cursor = html("span", { class: "cursor", hidden: true });
    this.node = html("div", { class: "easel" }, this.view.node, this.cursor);
    [this.pen, this.down] = [[WIDTH / 2, HEIGHT / 2], false];
    for (const name of ["pointerdown", "pointermove", "pointerup", "pointercancel", "keydown", "focus", "blur"])
      this.view.node.addEventListener(name, (event) => this[`on${name}`](event));
  }
  show(image) {
    this.image = Float32Array.from(image);
    this.fresh = false;
    this.view.show(this.image);
  }
  clear() {
    this.show(new Float32Array(PIXELS).fill(SIGNS ? 0 : 0.5));
    this.fresh = true;
  }
  /** The picture as the model sees it. */
  get seen() {
    return this.fresh && SIGNS ? centred(this.image) : this.image;
  }

  placeOf(event) {
    const { left, top, width, height } = this.view.node.getBoundingClientRect();
    return [((event.clientX - left) / width) * WIDTH, ((event.clientY - top) / height) * HEIGHT];
  }
  onpointerdown(event) {
    this.view.node.setPointerCapture(event.pointerId);
    this.last = this.placeOf(event);
    this.stroke(this.last, this.last);
  }
  onpointermove(event) {
    if (!this.last) return;
    const place = this.placeOf(event);
    this.stroke(this.last, place);
    this.last = place;
  }
  onpointerup() {
    this.last = null;
  }
  onpointercancel() {
    this.last = null;
  }
  onkeydown(event) {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move && event.key !== " ") return;
    event.preventDefault();
    if (!move) this.down = !this.down;
    const from = this.pen;
    const size = event.shiftKey ? 1 : 2;
    if (move)
      this.pen = [
        Math.min(WIDTH - 1, Math.max(1, from[0] + size * move[0])),
        Math.min(HEIGHT - 1, Math.max(1, from[1] + size * move[1])),
      ];
    if (this.down) this.stroke(from, this.pen);
    this.showCursor(true);
  }
  onfocus() {
    this.showCursor(this.view.node.matches(":focus-visible"));
  }
  onblur() {
    this.down = false;
    this.showCursor(false);
  }
  showCursor(visible) {
    this.cursor.hidden = !visible;
    this.cursor.classList.toggle("down", this.down);
    this.cursor.style.left = `${(100 * this.pen[0]) / WIDTH}%`;
    this.cursor.style.top = `${(100 * this.pen[1]) / HEIGHT}%`;
  }

  /** Draw a line with a round, soft brush. */
  stroke([x0, y0], [x1, y1]) {
    const radius = 0.045 * Math.max(6, Math.min(HEIGHT, WIDTH)) + 0.2;
    const steps = Math.max(1, Math.ceil(2 * Math.hypot(x1 - x0, y1 - y0)));
    for (let s = 0; s <= steps; s++) this.dab(x0 + ((x1 - x0) * s) / steps, y0 + ((y1 - y0) * s) / steps, radius);
    this.view.show(this.image);
    this.change();
  }
  dab(x, y, radius) {
    const target = this.light ? 1 : 0;
    for (let line = Math.floor(y - radius - 1); line <= y + radius + 1; line++)
      for (let column = Math.floor(x - radius - 1); column <= x + radius + 1; column++) {
        if (line < 0 || column < 0 || line >= HEIGHT || column >= WIDTH) continue;
        const cover = clip(radius + 0.5 - Math.hypot(column + 0.5 - x, line + 0.5 - y));
        for (let c = 0; c < CHANNELS; c++) {
          const i = (c * HEIGHT + line) * WIDTH + column;
          const mixed = this.image[i] + cover * (target - this.image[i]);
          this.image[i] = this.light ? Math.max(this.image[i], mixed) : Math.min(this.image[i], mixed);
        }
      }
  }
}
