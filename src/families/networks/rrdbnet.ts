// RRDBNet, the upscaler of ESRGAN and Real-ESRGAN: three sets of names for one network, and its configuration.
import { ImageForgeError } from '../../shared/errors.js';
import { countWhile, sizeOf, type Tensors, type TensorView } from '../tensors.js';
import type { Layout, UpscalerNetwork } from './network.js';

/** kind 'rrdbnet': ESRGAN and Real-ESRGAN, Real-ESRGAN's names ("body.0.rdb1.conv1.weight"). */
export interface RrdbNetConfig {
  /** Channels between the blocks. */
  width: number;
  /** Channels that each convolution of a dense block adds. */
  growth: number;
  blocks: number;
  /** Sides of the pixel blocks that become channels before the first convolution: 1, 2 or 4. */
  shuffle: number;
  /** Upsampling steps at the end. Each doubles the size. */
  doublings: number;
}

const own =
  /^(conv_first|conv_body|conv_up\d|conv_hr|conv_last|body\.\d+\.rdb[123]\.conv\w+)\.(weight|bias)$/;

export const rrdbNetLayouts: Layout[] = [
  {
    name: 'Real-ESRGAN',
    marker: 'body.0.rdb1.conv1.weight',
    rename: (tensors) => renameAll(tensors, (name) => name),
  },
  {
    name: 'ESRGAN',
    marker: 'RRDB_trunk.0.RDB1.conv1.weight',
    rename: (tensors) =>
      renameAll(tensors, (name) =>
        name
          .replace(/^RRDB_trunk\.(\d+)\.RDB/, 'body.$1.rdb')
          .replace(/^trunk_conv\./, 'conv_body.')
          .replace(/^upconv(\d)\./, 'conv_up$1.')
          .replace(/^HRconv\./, 'conv_hr.'),
      ),
  },
  {
    name: 'first ESRGAN',
    marker: 'model.1.sub.0.RDB1.conv1.0.weight',
    rename: renameSequence,
  },
];

export const rrdbNetNetwork: UpscalerNetwork<'rrdbnet'> = {
  kind: 'rrdbnet',
  title: 'an upscaler',
  layouts: rrdbNetLayouts,
  read: (tensors, where) => {
    const config = readRrdbNetConfig(tensors, where);
    const scale = scaleOf(config);
    const summary = `Upscaler (RRDBNet) to ${scale} times the size, ${config.blocks} blocks of ${config.width} channels`;
    return { config, scale, multiple: config.shuffle, summary };
  },
  computeBytes: (config: RrdbNetConfig, { pixels }) => pixels * bytesPerPixel(config),
};

/**
 * For each pixel of the input. The larger of two peaks: at full size (two maps, the smaller one before them, the
 * result) and in a dense block.
 */
function bytesPerPixel({ width, growth, doublings, shuffle }: RrdbNetConfig): number {
  const large = (2.25 * width + 3) * 4 ** doublings;
  const dense = 2 * (width + 4 * growth) + 3 * width;
  return (4 * Math.max(large, dense)) / shuffle ** 2;
}

/**
 * The first release counts the parts of a sequence: convolution, blocks, then upsampling, convolution and activation
 * for each doubling, two convolutions with an activation between them.
 */
function renameSequence(tensors: Tensors): Map<string, TensorView> {
  const blocks = countWhile(tensors, (block) => `model.1.sub.${block}.RDB1.conv1.0.weight`);
  const places = [...tensors.keys()].flatMap((name) => /^model\.(\d+)\.weight$/.exec(name)?.[1] ?? []);
  const last = Math.max(0, ...places.map(Number));
  const doublings = Math.floor((last - 4) / 3);
  const modules = new Map([
    ['model.0', 'conv_first'],
    [`model.1.sub.${blocks}`, 'conv_body'],
    [`model.${last - 2}`, 'conv_hr'],
    [`model.${last}`, 'conv_last'],
  ]);
  for (let i = 0; i < doublings; i++) modules.set(`model.${3 + 3 * i}`, `conv_up${i + 1}`);
  return renameAll(tensors, (name) => {
    const [, block, dense, conv, leaf] =
      /^model\.1\.sub\.(\d+)\.RDB([123])\.(conv\w+?)(?:\.0)?\.(\w+)$/.exec(name) ?? [];
    if (block !== undefined) return `body.${block}.rdb${dense}.${conv}.${leaf}`;
    const end = name.lastIndexOf('.');
    const module = modules.get(name.slice(0, end));
    return module === undefined ? name : module + name.slice(end);
  });
}

function renameAll(tensors: Tensors, to: (name: string) => string): Map<string, TensorView> {
  const renamed = new Map<string, TensorView>();
  for (const [name, view] of tensors) {
    const found = to(name);
    if (own.test(found)) renamed.set(found, view);
  }
  return renamed;
}

/** How many times larger a picture's sides become. Packing before the first convolution undoes doublings. */
export function scaleOf({ doublings, shuffle }: RrdbNetConfig): number {
  return 2 ** doublings / shuffle;
}

export function readRrdbNetConfig(tensors: Tensors, where: string): RrdbNetConfig {
  const foreign = [...tensors.keys()].find((name) => !/conv[1-5]\.\w+$/.test(name) && name.includes('.rdb'));
  if (foreign !== undefined)
    throw unsupported(where, `it has ${foreign}, which plain RRDBNet lacks`, foreign);
  const channels = sizeOf(tensors, 'conv_first.weight', 1, where);
  const shuffle = Math.sqrt(channels / 3);
  if (![1, 2, 4].includes(shuffle))
    throw unsupported(
      where,
      `its first convolution takes ${channels} channels; 3, 12 and 48 are known`,
      'conv_first.weight',
    );
  const config = {
    width: sizeOf(tensors, 'conv_first.weight', 0, where),
    growth: sizeOf(tensors, 'body.0.rdb1.conv1.weight', 0, where),
    blocks: countWhile(tensors, (block) => `body.${block}.rdb1.conv1.weight`),
    shuffle,
    doublings: countWhile(tensors, (i) => `conv_up${i + 1}.weight`),
  };
  const colours = sizeOf(tensors, 'conv_last.weight', 0, where);
  if (colours !== 3)
    throw unsupported(where, `it gives ${colours} channels; 3 were expected`, 'conv_last.weight');
  if (scaleOf(config) < 1)
    throw unsupported(
      where,
      `it makes pictures smaller: packed by ${shuffle}, doubled ${config.doublings} times`,
    );
  return config;
}

function unsupported(where: string, why: string, tensor?: string): ImageForgeError {
  return new ImageForgeError('UNSUPPORTED', `${where}: this upscaler can't be run: ${why}`, {
    hint: 'RealESRGAN_x2plus, RealESRGAN_x4plus, RealESRGAN_x4plus_anime_6B and others of their architecture run.',
    details: { file: where, ...(tensor && { tensor }) },
  });
}
