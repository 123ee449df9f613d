// Lists the machine's devices. The addon is asked in a separate process, since looking at a GPU claims memory on it that a
// server must not hold.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Device, SilentBackend } from '../../native/addon.js';
import { ImageForgeError } from '../../shared/errors.js';

export type { Device };

export interface Devices {
  devices: Device[];
  /** GPU backends that were compiled in but find no device here. */
  silent: SilentBackend[];
}

const PROBE = `import(process.argv[1])
  .then(({ loadAddon }) => loadAddon())
  .then((addon) => console.log(JSON.stringify({ devices: addon.devices(), silent: addon.silentBackends() })))
  .catch(({ code, message, hint }) => console.log(JSON.stringify({ error: { code: code ?? 'INTERNAL', message, hint } })));`;

/** @throws ImageForgeError ADDON_MISSING, or INTERNAL if the addon crashes its process. */
export async function listDevices(): Promise<Devices> {
  const here = new URL('../../native/binding.js', import.meta.url);
  const binding = existsSync(here) ? here : new URL('../../../dist/native/binding.js', import.meta.url);
  let answer: Devices | { error: { code: string; message: string; hint?: string } };
  try {
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', PROBE, binding.href], {
      timeout: 30_000,
    });
    answer = JSON.parse(stdout) as typeof answer;
  } catch (error) {
    throw new ImageForgeError(
      'INTERNAL',
      `Listing the devices failed: ${(error as Error).message.split('\n')[0]}`,
      {
        cause: error,
      },
    );
  }
  if ('error' in answer) throw ImageForgeError.fromJSON(answer.error);
  return answer;
}
