// Makes random tensor bytes for benchmark weights, from a seed and streamed in chunks. Matrices and kernels are normal with
// standard deviation 1 / sqrt(fan in); the weights of norms and variances are 1, biases and means 0.

const chunkValues = 1 << 20;
const normals = makeNormals(1 << 16, 42);

/** @param {{ name: string, type: string, shape: number[] }} tensor @returns {Generator<Uint8Array>} */
export function* randomWeightStream({ name, type, shape }) {
  const total = shape.reduce((a, b) => a * b, 1);
  const fanIn = total / shape[0];
  let seed = hash(name);
  for (let done = 0; done < total; done += chunkValues) {
    const count = Math.min(chunkValues, total - done);
    if (type === 'f32')
      yield new Uint8Array(
        new Float32Array(count).fill(/(\.weight|\.scale|_var)$/.test(name) ? 1 : 0).buffer,
      );
    else if (type === 'f16') yield halfChunk(count, 1 / Math.sqrt(fanIn), seed);
    else yield quantisedChunk(count, type, 1 / Math.sqrt(fanIn), seed);
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  }
}

function halfChunk(count, deviation, seed) {
  const out = new Uint16Array(count);
  const table = new Uint16Array(normals.length);
  for (let i = 0; i < table.length; i++) table[i] = toHalf(normals[i] * deviation);
  let state = seed | 1;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    out[i] = table[state >>> 16];
  }
  return new Uint8Array(out.buffer);
}

/** Blocks of 32: an F16 scale, then 32 bytes (Q8_0) or 16 bytes of two nibbles (Q4_0). */
function quantisedChunk(count, type, deviation, seed) {
  const data = type === 'q8_0' ? 32 : 16;
  const scale = toHalf(type === 'q8_0' ? deviation / 73.9 : deviation / 4.6);
  const out = new Uint8Array((count / 32) * (2 + data));
  let state = seed | 1;
  for (let at = 0; at < out.length; ) {
    out[at++] = scale & 0xff;
    out[at++] = scale >>> 8;
    for (let i = 0; i < data; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      out[at++] = state >>> 24;
    }
  }
  return out;
}

function makeNormals(count, seed) {
  const out = new Float32Array(count);
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  for (let i = 0; i < count; i++) out[i] = Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next());
  return out;
}

function hash(text) {
  let h = 2166136261;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619);
  return h >>> 0;
}

/** The nearest IEEE half-precision value to a small number. */
function toHalf(value) {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0];
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 112;
  if (exponent <= 0) return sign | Math.round(Math.abs(value) * 2 ** 24);
  return (sign | (((exponent << 10) | ((bits >>> 13) & 0x3ff)) + ((bits >>> 12) & 1))) & 0xffff;
}
