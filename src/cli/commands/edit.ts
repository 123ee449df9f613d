// imageforge edit: image to image.
import type { Command } from 'commander';
import { addImageOptions, type ImageOptions } from '../image-options.js';

export function addEdit(program: Command): void {
  addImageOptions(
    program
      .command('edit')
      .description('change an image as a prompt says')
      .argument('<prompt>', 'what to show')
      .argument('<image>', 'the image to start from'),
  )
    .option('--strength <n>', '0 keeps the original, 1 regenerates it (default: 0.6)')
    .action(async (prompt: string, image: string, options: ImageOptions) => {
      const { runImages } = await import('../run-images.js');
      await runImages('edit', prompt, options, { init_image_path: image });
    });
}
