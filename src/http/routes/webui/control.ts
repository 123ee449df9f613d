// Reads alwayson_scripts.controlnet of the WebUI's requests: one unit with a finished map becomes fields of our schema.
import { z } from 'zod';
import { refuseField } from '../../errors.js';
import { type Fields, stripHash } from './fields.js';

const unit = z.looseObject({
  enabled: z.boolean().optional(),
  image: z.unknown().describe('A finished map as base64 or a data URL; also {image: …}'),
  input_image: z.unknown().describe('The same as image'),
  model: z.string().optional().describe('Name of a ControlNet in controlnet/'),
  module: z.string().optional().describe('Only none: the server does not make maps'),
  weight: z.number().optional(),
  guidance_start: z.number().optional(),
  guidance_end: z.number().optional(),
});

export const alwaysOnScripts = z
  .looseObject({ controlnet: z.looseObject({ args: z.array(unit) }).optional() })
  .describe('controlnet: one unit; other scripts are ignored');

const PLACE = 'alwayson_scripts.controlnet.args';

/** Returns no fields if no unit is enabled. */
export function readControlUnit({ alwayson_scripts: scripts }: Fields): Fields {
  const args = ((scripts as Fields | null | undefined)?.controlnet as Fields | undefined)?.args;
  if (args === undefined) return {};
  if (!Array.isArray(args)) refuseField(PLACE, `${PLACE}: expected a list of units`);
  const units = (args as Fields[]).filter((one) => one && one.enabled !== false);
  if (units.length > 1) refuseField(PLACE, `${PLACE}: expected at most one unit, found ${units.length}`);
  const [found] = units;
  if (!found) return {};
  const { module, model, weight, guidance_start, guidance_end } = found;
  if (typeof module === 'string' && module.toLowerCase() !== 'none')
    refuseField(
      `${PLACE}.0.module`,
      `${PLACE}.0.module: expected none, found ${module}: send the finished map as the image`,
    );
  if (typeof model !== 'string' || model.toLowerCase() === 'none')
    refuseField(`${PLACE}.0.model`, `${PLACE}.0.model: expected the name of a ControlNet, found ${model}`);
  const given = found.input_image ?? found.image;
  const image = typeof given === 'object' && given !== null ? (given as Fields).image : given;
  if (typeof image !== 'string')
    refuseField(`${PLACE}.0.image`, `${PLACE}.0.image: expected a picture in base64, found ${typeof image}`);
  return {
    control: stripHash(model),
    control_image: image,
    control_strength: weight,
    control_start: guidance_start,
    control_end: guidance_end,
  };
}
