// The library: make a picture, watch its progress, change it, and read what went wrong.
//
//   node library.ts [folder]        Node 22.18 or newer runs TypeScript; for older ones see README.md
import { join } from 'node:path';
import { ImageForge, ImageForgeError } from 'imageforge';

const folder = process.argv[2] ?? '.';

// Without options it uses the small model in the package; { model: './sd15.gguf' } takes a file of yours.
const forge = new ImageForge();
try {
  const run = forge.generate({ prompt: 'a red star on a white background', seed: 42 });
  for await (const { phase, step, steps } of run) console.error(phase, `${step}/${steps}`);
  const { image, settings, seconds } = await run;
  const star = join(folder, 'star.png');
  await image.save(star);
  console.error(`${settings.steps} steps of ${settings.sampler} took ${seconds.denoise.toFixed(1)} s`);
  console.log(star);

  // A picture may be a path, the bytes of a file, or pixels, so the result above goes straight back in.
  const prompt = 'a blue star on a white background';
  const edited = await forge.edit({ prompt, image, strength: 0.8, seed: 42 });
  const blue = join(folder, 'star-blue.png');
  await edited.image.save(blue);
  console.log(blue);
} catch (error) {
  // What was found and expected, a code for programs, and often a hint at what to do.
  if (!(error instanceof ImageForgeError)) throw error;
  console.error(`${error.code}: ${error.message} ${error.hint ?? ''}`);
  process.exitCode = error.exitCode;
} finally {
  await forge.close();
}
