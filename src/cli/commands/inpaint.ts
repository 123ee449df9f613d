// imageforge inpaint: repaints the white regions of a mask.
import type { Command } from 'commander';
import type { ImageOptions } from '../image-options.js';

export function addInpaint(program: Command): void {
  program
    .command('inpaint')
    .description('repaint the white regions of a mask')
    .argument('<prompt>', 'what to show there')
    .argument('<image>', 'the image to start from')
    .argument('<mask>', 'white is repainted, black is kept')
    .action(async (prompt: string, image: string, mask: string, options: ImageOptions) => {
      const { runImages } = await import('../run-images.js');
      await runImages('inpaint', prompt, options, { init_image_path: image, mask_image_path: mask });
    });
}
