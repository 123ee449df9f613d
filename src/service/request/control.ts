// Prepares a request's ControlNet: finds its file, checks that it fits the model, and reads the picture that it looks at.
import { type ControlNetPlan, planControlNet } from '../../families/control-net.js';
import type { ModelPlan } from '../../families/types.js';
import { resolveControl } from '../../pipeline/resolve.js';
import type { Control, PipelineRequest } from '../../pipeline/types.js';
import { controlNets } from '../../registry/control-nets.js';
import { resolveNamed } from '../../registry/named-files.js';
import type { Config } from '../../shared/config.js';
import { decodePicture, measurePicture } from '../pictures/codec.js';

export interface ControlOptions {
  /** A path, or a name in the ControlNet folder. */
  model: string;
  strength?: number | undefined;
  start?: number | undefined;
  end?: number | undefined;
}

/** A ControlNet whose header was checked against the model. */
export interface OpenControl {
  settings: Pick<Control, 'path' | 'strength' | 'start' | 'end'>;
  plan: ControlNetPlan;
  /** Its encoded picture. */
  picture: Uint8Array;
}

/** Refuses all that can be refused. `read` returns the encoded picture; messages call it `label`. */
export async function openControl(
  { model, ...options }: ControlOptions,
  { read, label }: { read: () => Promise<Uint8Array>; label: string },
  plan: ModelPlan,
  config: Config,
): Promise<OpenControl> {
  const settings = { path: resolveNamed(controlNets, model, config), ...resolveControl(options) };
  const found = await planControlNet(settings.path, plan);
  const picture = await read();
  await measurePicture(picture, label);
  return { settings, plan: found, picture };
}

/** Adds the ControlNet to the request, with its picture at the size of each pass. */
export async function addControl(
  request: PipelineRequest,
  { settings, picture }: OpenControl,
): Promise<PipelineRequest> {
  const image = await decodePicture(picture, request, 'control_image');
  const hiresImage = request.hires && (await decodePicture(picture, request.hires, 'control_image'));
  return { ...request, control: { ...settings, image, ...(hiresImage && { hiresImage }) } };
}
