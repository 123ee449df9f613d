// The device that tests compute on: the CPU, or the one that IMAGEFORGE_TEST_DEVICE names by id or kind ("cuda").
import { loadAddon } from '../src/native/binding.js';

const wanted = process.env.IMAGEFORGE_TEST_DEVICE || 'cpu';

function find(): string {
  if (wanted === 'cpu') return wanted;
  const devices = loadAddon().devices();
  const found = devices.find(({ id }) => id === wanted) ?? devices.find(({ kind }) => kind === wanted);
  if (!found)
    throw new Error(
      `IMAGEFORGE_TEST_DEVICE=${wanted}: found only ${devices.map(({ id }) => id).join(', ')}.`,
    );
  return found.id;
}

/** An id such as 'cpu' or 'vulkan0'. */
export const testDevice = find();
/** Tests of our CPU kernels and of weights in mapped files run only on the CPU. */
export const onCpu = testDevice === 'cpu';
