/* The latent plane: two directions in the space of the codes, with the codes of test images as points. */

/** A direction along which codes move: a latent, or a principal axis of the codes. */
class Axis {
  constructor(model, name, direction, origin, note = "") {
    Object.assign(this, { name, direction, origin, note });
    const places = model.codes.map(({ z }) => this.of(z)).sort((one, other) => one - other);
    const share = (part) => places[Math.round(part * (places.length - 1))];
    const [low, high] = [share(0.004), share(0.996)];
    const margin = 0.12 * (high - low) || 1;
    this.low = Math.min(low - margin, model.normal ? -3 : Infinity);
    this.high = Math.max(high + margin, model.normal ? 3 : -Infinity);
  }
  /** Where a code lies on the axis. */
  of(z) {
    return dot(this.direction, z) - this.origin;
  }
  /** The code moved along the axis to a place. */
  to(z, place) {
    const moved = Float32Array.from(z);
    addTo(moved, this.direction, place - this.of(z));
    return moved;
  }
}

const MOST_AXES = 20;
function latentAxes(model) {
  const note = (k) => (model.kl ? `${shown(model.kl[k])} nats` : `variance ${shown(model.importance[k])}`);
  return model.order.slice(0, MOST_AXES).map((k) => new Axis(model, `z${k}`, unit(model.latents, k), 0, note(k)));
}
function principalAxes(model) {
  const { mean, directions, spread } = model.axes;
  return directions.map((direction, k) => {
    const note = `std ${shown(spread[k])}`;
    return new Axis(model, `axis ${k + 1}`, direction, dot(direction, mean), note);
  });
}

const POINT = 2.4;
const TILES = 15;

class Plane {
  /** `change(z)` is called when the point is moved, `look(z)` with a code under a mouse that is not pressed, or null. */
  constructor(change, look) {
    Object.assign(this, { change, look, looked: null, walk: null });
    this.canvas = html("canvas", {
      class: "plane", tabindex: 0, role: "application", "aria-roledescription": "plane",
      "aria-describedby": "plane-help",
    });
    this.back = document.createElement("canvas");
    this.tiles = document.createElement("canvas");
    this.showsTiles = false;
    for (const name of ["pointerdown", "pointermove", "pointerleave", "pointerup", "pointercancel", "keydown", "blur"])
      this.canvas.addEventListener(name, (event) => this[name]?.(event));
    new ResizeObserver(() => this.resize()).observe(this.canvas);
  }
  use(model, across, up) {
    Object.assign(this, { model, across, up });
    this.canvas.setAttribute("aria-label", `Codes: ${across.name} to the right, ${up.name} upwards`);
    this.drawBack();
    this.resize();
    refresh();
  }
  resize() {
    const ratio = devicePixelRatio || 1;
    const size = Math.round(this.canvas.clientWidth * ratio);
    if (size === this.size) return;
    for (const canvas of [this.canvas, this.back]) [canvas.width, canvas.height] = [size, size];
    Object.assign(this, { size, ratio });
    this.drawBack();
    this.draw(); // at once: the new size has emptied the canvas
  }

  /* ---- where codes lie on the canvas ---- */

  x(place) {
    return ((place - this.across.low) / (this.across.high - this.across.low)) * this.size;
  }
  y(place) {
    return (1 - (place - this.up.low) / (this.up.high - this.up.low)) * this.size;
  }
  codeAt(across, up) {
    return this.up.to(this.across.to(this.model.z, across), up);
  }
  codeUnder(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    const [x, y] = [clip((event.clientX - left) / width), clip((event.clientY - top) / height)];
    const along = ({ low, high }, share) => low + share * (high - low);
    return this.codeAt(along(this.across, x), along(this.up, 1 - y));
  }

  /* ---- mouse, touch and keyboard ---- */

  pointerdown(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.held = true;
    this.change(this.codeUnder(event));
  }
  pointermove(event) {
    if (this.held) this.change(this.codeUnder(event));
    else if (event.pointerType === "mouse") this.look(this.codeUnder(event));
  }
  pointerup() {
    this.held = false;
  }
  pointercancel() {
    this.held = false;
  }
  pointerleave() {
    if (!this.held) this.look(null);
  }
  keydown(event) {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!move) return;
    event.preventDefault();
    const step = (axis, way) => axis.of(this.model.z) + (way * (axis.high - axis.low)) / (event.shiftKey ? 12 : 60);
    const inside = (axis, place) => Math.min(axis.high, Math.max(axis.low, place));
    const [across, up] = [step(this.across, move[0]), step(this.up, move[1])];
    this.change(this.codeAt(inside(this.across, across), inside(this.up, up)));
  }

  /* ---- drawing ---- */

  drawBack() {
    if (!this.model || !this.size) return;
    const context = this.back.getContext("2d");
    const { ratio, size } = this;
    context.clearRect(0, 0, size, size);
    context.strokeStyle = colours.rule;
    context.lineWidth = ratio;
    const line = (...points) => {
      context.beginPath();
      points.forEach(([x, y]) => context.lineTo(x, y));
      context.stroke();
    };
    line([this.x(0), 0], [this.x(0), size]);
    line([0, this.y(0)], [size, this.y(0)]);
    if (this.showsTiles) return;
    if (this.model.normal)
      for (const radius of [1, 2]) {
        context.beginPath();
        const [width, height] = [this.x(radius) - this.x(0), this.y(0) - this.y(radius)];
        context.ellipse(this.x(0), this.y(0), width, height, 0, 0, 2 * Math.PI);
        context.stroke();
      }
    context.globalAlpha = 0.75;
    for (const { label, z } of this.model.codes) {
      context.fillStyle = colourOf(label);
      context.beginPath();
      context.arc(this.x(this.across.of(z)), this.y(this.up.of(z)), POINT * ratio, 0, 2 * Math.PI);
      context.fill();
    }
    context.globalAlpha = 1;
    if (NAMES.length && NAMES.length <= 2 * CLASS_COLOURS) this.drawNames(context);
  }
  /** Write the name of every class at the middle of its codes: colours alone do not tell it. */
  drawNames(context) {
    const { ratio } = this;
    context.font = `600 ${13 * ratio}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    NAMES.forEach((name, label) => {
      const own = this.model.codes.filter((code) => code.label === label);
      if (!own.length) return;
      const median = (axis) => own.map(({ z }) => axis.of(z)).sort((one, other) => one - other)[own.length >> 1];
      const [x, y, text] = [this.x(median(this.across)), this.y(median(this.up)), name.slice(0, 14)];
      const width = context.measureText(text).width + 12 * ratio;
      const left = Math.max(2 * ratio, Math.min(this.size - width - 2 * ratio, x - width / 2));
      context.fillStyle = colours.card;
      context.strokeStyle = colourOf(label);
      context.lineWidth = 2 * ratio;
      context.beginPath();
      context.roundRect(left, y - 11 * ratio, width, 22 * ratio, 11 * ratio);
      context.fill();
      context.stroke();
      context.fillStyle = colours.ink;
      context.fillText(text, left + width / 2, y + ratio);
    });
  }
  /** Decode a grid of points, one after another. */
  *drawTiles(label) {
    const small = picture("");
    const context = this.tiles.getContext("2d");
    [this.tiles.width, this.tiles.height] = [TILES * WIDTH, TILES * HEIGHT];
    const middle = ({ low, high }, i) => low + ((i + 0.5) / TILES) * (high - low);
    const order = Array.from({ length: TILES * TILES }, (_, i) => [i % TILES, Math.floor(i / TILES)]);
    const distance = ([i, j]) => (i - TILES / 2) ** 2 + (j - TILES / 2) ** 2;
    for (const [i, j] of order.sort((one, other) => distance(one) - distance(other)))
      yield () => {
        small.show(this.model.decode(this.codeAt(middle(this.across, i), middle(this.up, TILES - 1 - j)), label));
        context.drawImage(small.node, i * WIDTH, j * HEIGHT);
      };
  }
  draw(looked = this.looked, walk = this.walk) {
    Object.assign(this, { looked, walk });
    if (!this.model || !this.size) return;
    const context = this.canvas.getContext("2d");
    const { ratio, size } = this;
    context.clearRect(0, 0, size, size);
    context.imageSmoothingEnabled = false;
    if (this.showsTiles) context.drawImage(this.tiles, 0, 0, size, size);
    else context.drawImage(this.back, 0, 0);
    const place = (z) => [this.x(this.across.of(z)), this.y(this.up.of(z))];
    if (walk) {
      context.setLineDash([5 * ratio, 4 * ratio]);
      context.strokeStyle = this.showsTiles ? "#ffffff" : colours.ink;
      context.lineWidth = 1.5 * ratio;
      context.beginPath();
      walk.forEach((z) => context.lineTo(...place(z)));
      context.stroke();
      context.setLineDash([]);
    }
    const ring = ([x, y], radius, width, colour) => {
      context.beginPath();
      context.arc(x, y, radius * ratio, 0, 2 * Math.PI);
      context.strokeStyle = colour;
      context.lineWidth = width * ratio;
      context.stroke();
    };
    const spot = place(this.model.z);
    ring(spot, 10, 6, this.showsTiles ? "#000000" : colours.card);
    ring(spot, 10, 3, this.showsTiles ? "#ffffff" : colours.ink);
    if (looked) ring(place(looked), 6, 2, colours.link);
  }
}
