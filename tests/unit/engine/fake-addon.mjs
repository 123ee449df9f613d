// The addon's interface without networks, so that the real client, host and pipeline run anywhere. The URL that imports it
// sets its behaviour: ?step=MS, ?crash=STEP, ?hang=close, ?output=nan|flat, ?free=BYTES, ?whole=CELLS (the most that are
// decoded at once).
import { setTimeout as sleep } from 'node:timers/promises';

/** Sets the behaviour of engines made from now on. */
let options = new URL(import.meta.url).searchParams;
const log = [];

export function behave(query) {
  options = new URLSearchParams(query);
}

class NativeError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

class Module {
  constructor(engine, kind, options) {
    this.engine = engine;
    this.kind = kind;
    this.bytes = 1000;
    engine.open(kind, options?.stream);
  }
  async setLoras() {}
  rest() {}
  async close() {
    this.engine.shut(this.kind);
    if (options.get('hang') === 'close') await new Promise(() => {});
  }
}

class TextEncoder extends Module {
  /** One row per token, so that equal prompts have equal states. */
  async encode(tokens) {
    log.push('encode');
    const data = Float32Array.from({ length: tokens.length * 4 }, (_, i) => Math.sin(tokens[i >> 2] + i));
    return { hidden: [{ data, shape: [tokens.length, 4] }] };
  }
}

class Denoiser extends Module {
  predictions = 0;
  async condition({ context, references = [] }) {
    const all = [context, ...references].flatMap(({ data }) => [...data]);
    return { sum: all.reduce((sum, value) => sum + value, 0), close() {} };
  }
  async predict(latent, timestep, conditionings, residuals = []) {
    await this.engine.work(Number(options.get('step') ?? 1));
    this.predictions++;
    if (options.get('crash') === String(this.predictions)) {
      process.stderr.write('fake.cpp:12: ASSERT(everything_is_fine) failed\n');
      process.abort();
    }
    const nan = options.get('output') === 'nan';
    return conditionings.map(({ sum: own }, i) => {
      const sum = own + (residuals[i]?.sum ?? 0);
      return {
        ...latent,
        data: latent.data.map((value) => (nan ? Number.NaN : value + 1e-3 * sum + 1e-6 * timestep)),
      };
    });
  }
}

class ControlNet extends Module {
  async condition({ rgb }, prompts) {
    const sum = rgb.reduce((total, value) => total + value, 0) / rgb.length;
    return prompts.map(() => ({ sum, close() {} }));
  }
  async steer(_latent, _timestep, conditionings, strength) {
    log.push(`steer ${strength}`);
    return conditionings.map(({ sum }) => ({ sum: sum * strength, close() {} }));
  }
}

class Autoencoder extends Module {
  async encode(image) {
    const [height, width] = image.shape ? image.shape.slice(1) : [image.height, image.width];
    const shape = [4, height / 8, width / 8];
    const data = Float32Array.from({ length: (width * height) / 16 }, (_, i) => Math.sin(i));
    return { mean: { data, shape } };
  }
  async decode({ data, shape: [, rows, columns] }) {
    if (rows * columns > Number(options.get('whole') ?? Infinity))
      throw new NativeError('OUT_OF_MEMORY', `decode ${columns}x${rows} does not fit`);
    const [width, height] = [columns * 8, rows * 8];
    const flat = options.get('output') === 'flat';
    const rgb = Uint8Array.from({ length: width * height * 3 }, (_, i) =>
      flat ? 7 : (this.kind === 'autoencoder' ? 128 : 90) + 20 * data[i % data.length],
    );
    return { rgb, width, height };
  }
}

class Upscaler extends Module {
  constructor(engine, kind, { doublings, shuffle }) {
    super(engine, kind);
    this.scale = 2 ** doublings / shuffle;
  }
  /** Draws every latent pixel as a square of its colour. */
  async upscale({ rgb, width, height }) {
    await this.engine.work(Number(options.get('step') ?? 1));
    const larger = { width: width * this.scale, height: height * this.scale };
    const at = (i) => Math.floor(i / this.scale);
    larger.rgb = Uint8Array.from({ length: larger.width * larger.height * 3 }, (_, i) => {
      const pixel = Math.floor(i / 3);
      const from = at(Math.floor(pixel / larger.width)) * width + at(pixel % larger.width);
      return rgb[from * 3 + (i % 3)];
    });
    return larger;
  }
}

class Engine {
  #abort;
  #modules = [];
  constructor({ device, onLog }) {
    if (device !== 'cpu') throw new NativeError('DEVICE_UNAVAILABLE', `There is no device ${device}.`);
    onLog('info', 'fake engine on cpu');
  }
  open(kind, stream) {
    this.#modules.push(kind);
    log.push(`+${kind}${stream ? '~' : ''}`);
  }
  shut(kind) {
    this.#modules = this.#modules.filter((open) => open !== kind);
    log.push(`-${kind}`);
  }
  /** Takes time like a real network, and stops like one. */
  async work(ms) {
    this.#abort = new AbortController();
    try {
      await sleep(ms, undefined, { signal: this.#abort.signal });
    } catch {
      throw new NativeError('ABORTED', 'aborted');
    }
  }
  async loadTextEncoder(kind, _config, _weights, options) {
    return new TextEncoder(this, kind, options);
  }
  async loadDenoiser(kind, _config, _weights, options) {
    return new Denoiser(this, kind, options);
  }
  async loadControlNet(kind, _config, _weights, options) {
    return new ControlNet(this, kind, options);
  }
  async loadAutoencoder(kind, _config, _weights, options) {
    return new Autoencoder(this, kind, options);
  }
  async loadUpscaler(kind, config) {
    return new Upscaler(this, kind, config);
  }
  abort() {
    this.#abort?.abort();
  }
  memory() {
    return {
      weights: 0,
      mapped: 0,
      compute: 0,
      scratch: 0,
      deviceFree: Number(options.get('free') ?? 2 ** 40),
    };
  }
  async close() {}
}

const addon = {
  devices: () => [{ id: 'cpu', kind: 'cpu', name: 'fake', memoryTotal: 2 ** 40, memoryFree: 2 ** 40 }],
  quantize: () => new Uint8Array(),
  Engine,
};

export const loadAddon = () => addon;
/** What happened, in order: '+unet', 'encode', '-clip' … */
export const takeLog = () => log.splice(0);
