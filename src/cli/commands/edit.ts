// imageforge edit: image to image.
import type { Command } from 'commander';
import type { ImageOptions } from '../image-options.js';

export function addEdit(program: Command): void {
  program
    .command('edit')
    .description('change an image according to a prompt')
    .argument('<prompt>', 'what to show')
    .argument('<image>', 'the image to start from')
    .action(async (prompt: string, image: string, options: ImageOptions) => {
      const { runImages } = await import('../run-images.js');
      await runImages('edit', prompt, options, { init_image_path: image });
    });
}
