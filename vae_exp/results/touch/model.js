/* The content of the page: its images, its models. */

const content = JSON.parse(document.getElementById("data").textContent);
const [CHANNELS, HEIGHT, WIDTH] = content.images.shape;
const PIXELS = CHANNELS * HEIGHT * WIDTH;
const NAMES = content.images.names;
const nameOf = (label) => NAMES[label] ?? String(label);

/* Images are here how bright their pixels are: 0 is black and 1 is white. */
const levels = Uint8Array.from(atob(content.images.levels), (letter) => letter.charCodeAt(0));
const examples = content.images.labels.map((label, i) => ({
  label,
  index: i,
  image: Float32Array.from(levels.subarray(i * PIXELS, (i + 1) * PIXELS), (level) => level / 255),
}));

class Model {
  constructor(data) {
    Object.assign(this, data);
    const constants = data.constants.map(numbersOf);
    const { encoder, decoder, classifier } = data.functions;
    this.encoder = encoder ? new Program(encoder, constants) : null;
    this.decoder = new Program(decoder, constants);
    this.classifier = classifier ? new Program(classifier, constants) : null;
    const numbers = numbersOf(data.codes.numbers);
    const code = (i) => numbers.subarray(i * this.latents, (i + 1) * this.latents);
    this.codes = data.codes.labels.map((label, i) => ({ label, z: code(i) }));
    this.importance = data.kl ?? this.variances();
    this.order = Array.from({ length: this.latents }, (_, i) => i);
    if (this.latents > 2) this.order.sort((one, other) => this.importance[other] - this.importance[one]);
    this.drawn = data.draws ? numbersOf(data.draws) : null;
    this.z = new Float32Array(this.latents);
    this.reach = this.farthest() || 1;
  }
  variances() {
    return Array.from({ length: this.latents }, (_, k) => {
      const mean = this.codes.reduce((sum, { z }) => sum + z[k], 0) / this.codes.length;
      return this.codes.reduce((sum, { z }) => sum + (z[k] - mean) ** 2, 0) / this.codes.length;
    });
  }
  farthest() {
    return this.codes.reduce((most, { z }) => z.reduce((one, value) => Math.max(one, Math.abs(value)), most), 0);
  }
  /** The brightness of the image of a code, and of a label if the model takes one. It stays until the next call. */
  decode(z, label = 0) {
    const { mean } = this.decoder.run({ z, y: [label] });
    if (!this.shown) this.shown = new Float32Array(PIXELS);
    const { scale, offset } = content.images;
    for (let i = 0; i < PIXELS; i++) this.shown[i] = scale * mean[i] + offset;
    return this.shown;
  }
  /** The code of an image, its label if the model predicts it, and how sure the model is. */
  encode(image, label = 0) {
    const { scale, offset } = content.images;
    const x = image.map((value) => (value - offset) / scale);
    if (!this.classifier) return { z: Float32Array.from(this.encoder.run({ x, y: [label] }).code), label };
    const logs = this.classifier.run({ x }).log_probability;
    const guess = logs.indexOf(Math.max(...logs));
    const z = Float32Array.from(this.encoder.run({ x, y: [guess] }).code);
    return { z, label: guess, probability: Math.exp(logs[guess]) };
  }
  /** The code of a test image. A model without an encoder has it stored. */
  encodeExample({ image, label, index }) {
    return this.encoder ? this.encode(image, label) : { z: Float32Array.from(this.codes[index].z), label };
  }
  /** A draw from the prior, or from a normal with the principal axes of the codes. */
  sample() {
    const { mean, directions, spread } = this.axes;
    if (this.normal) return Float32Array.from({ length: this.latents }, normal);
    if (this.drawn) {
      const i = Math.floor((Math.random() * this.drawn.length) / this.latents);
      return this.drawn.slice(i * this.latents, (i + 1) * this.latents);
    }
    const z = Float32Array.from(mean);
    directions.forEach((direction, k) => addTo(z, direction, spread[k] * normal()));
    return z;
  }
  get middle() {
    return Float32Array.from(this.normal ? Array(this.latents).fill(0) : this.axes.mean);
  }
  /** The largest difference of a pixel from PyTorch with the weights as they were trained. */
  difference() {
    const expected = numbersOf(this.expected);
    const count = expected.length / PIXELS;
    return examples.slice(0, count).reduce((most, example, i) => {
      const { z, label } = this.encodeExample(example);
      const [ours, theirs] = [this.decode(z, label), expected.subarray(i * PIXELS, (i + 1) * PIXELS)];
      return ours.reduce((largest, value, j) => Math.max(largest, Math.abs(clip(value) - clip(theirs[j]))), most);
    }, 0);
  }
}

const clip = (value) => Math.min(1, Math.max(0, value));
const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
function addTo(z, direction, size) {
  for (let i = 0; i < z.length; i++) z[i] += size * direction[i];
}
const between = (a, b, t) => a.map((value, i) => value + t * (b[i] - value));
const unit = (size, k) => Array.from({ length: size }, (_, i) => (i === k ? 1 : 0));
/** A draw from a standard normal (Box and Muller 1958). */
const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());

const models = content.models.map((data) => new Model(data));
