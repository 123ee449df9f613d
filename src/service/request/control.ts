// A request's ControlNet: which file it is, whether it suits the model, and the picture that it looks at.
import { type ControlNetPlan, planControlNet } from '../../families/control-net.js';
import type { ModelPlan } from '../../families/types.js';
import { resolveControl } from '../../pipeline/resolve.js';
import type { Control, PipelineRequest } from '../../pipeline/types.js';
import { controlNets } from '../../registry/control-nets.js';
import { resolveNamed } from '../../registry/named-files.js';
import type { Config } from '../../shared/config.js';
import { decodePicture, measurePicture } from '../pictures/codec.js';

export interface ControlWish {
  /** A path, or a name in the folder for ControlNets. */
  model: string;
  strength?: number | undefined;
  start?: number | undefined;
  end?: number | undefined;
}

/** A ControlNet whose header was read against the model. */
export interface OpenControl {
  settings: Pick<Control, 'path' | 'strength' | 'start' | 'end'>;
  plan: ControlNetPlan;
  /** Its picture, encoded. */
  picture: Uint8Array;
}

/** All that can be refused is refused here. `read` gives the encoded picture, `label` is what messages call it. */
export async function openControl(
  { model, ...wish }: ControlWish,
  { read, label }: { read: () => Promise<Uint8Array>; label: string },
  plan: ModelPlan,
  config: Config,
): Promise<OpenControl> {
  const settings = { path: resolveNamed(controlNets, model, config), ...resolveControl(wish) };
  const found = await planControlNet(settings.path, plan);
  const picture = await read();
  await measurePicture(picture, label);
  return { settings, plan: found, picture };
}

/** The request with the picture at the size of each of its passes. */
export async function addControl(
  request: PipelineRequest,
  { settings, picture }: OpenControl,
): Promise<PipelineRequest> {
  const image = await decodePicture(picture, request, 'control_image');
  const hiresImage = request.hires && (await decodePicture(picture, request.hires, 'control_image'));
  return { ...request, control: { ...settings, image, ...(hiresImage && { hiresImage }) } };
}
