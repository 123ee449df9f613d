// imageforge upscale: enlarges an image with an ESRGAN upscaler.
import type { Command } from 'commander';

export function addUpscale(program: Command): void {
  program
    .command('upscale <image>')
    .description('make an image larger with an ESRGAN upscaler')
    .requiredOption(
      '-m, --model <file>',
      'upscaler as safetensors, such as RealESRGAN_x4plus, or its name in upscalers/',
    )
    .option('--scale <n>', 'size relative to the source (default: the upscaler’s own factor)')
    .option('--tile <pixels>', 'largest side of a tile (default: from the free memory)')
    .option('-o, --output <path>', 'file to write (default: the source’s name with _upscaled)')
    .option('--force', 'overwrite the file of --output')
    .option('--output-dir <folder>', 'folder to write to (default: OUTPUT_DIR)')
    .option('--json', 'print one JSON document instead of the path')
    .option('-q, --quiet', 'no progress, no notes')
    .option('-v, --verbose', 'log what happens')
    .action(async (image: string, options) => {
      const { runUpscale } = await import('../run-upscale.js');
      await runUpscale(image, options);
    });
}
