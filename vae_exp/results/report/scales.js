/* Scales: they map a value to its position on the axis, 0 to 1, and choose the tick values. */

function linear(low, high) {
  const raw = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= raw) * power;
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) ticks.push(i * step + 0); // + 0: no −0
  const size = Math.max(Math.abs(low), Math.abs(high));
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const format = (value) => {
    if (size >= 1e5) return compact(value);
    if (size < 1e-3) return value.toExponential(1);
    return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  };
  return { share: (value) => (value - low) / (high - low), ticks, format };
}

function logarithmic(low, high) {
  const [first, last] = [Math.log10(low), Math.log10(high)];
  const within = (factors) => {
    const ticks = [];
    for (let power = Math.floor(first); power <= last; power++)
      ticks.push(...factors.map((factor) => factor * 10 ** power));
    return ticks.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  };
  const candidates = [[1], [1, 3], [1, 2, 5], [1, 2, 3, 4, 5, 6, 7, 8, 9]].map(within);
  const ticks = candidates.findLast((some) => some.length <= 6) ?? candidates[0];
  return {
    share: (value) => (Math.log10(value) - first) / (last - first),
    ticks: ticks.length ? ticks : [low],
    format: compact,
  };
}
