// imageforge status: the model that would be used, the folders, the devices and their memory.
import type { Command } from 'commander';
import type { Device } from '../../service/models/devices.js';
import { formatBytes, formatTable } from '../table.js';

export function addStatus(program: Command): void {
  program
    .command('status')
    .description('show model, folders, devices and their memory')
    .option('--json', 'print one JSON document')
    .action(async ({ json }: { json?: true }) => {
      const [{ readConfig }, { describeModels }, { listDevices }] = await Promise.all([
        import('../../shared/config.js'),
        import('../open-service.js'),
        import('../../service/models/devices.js'),
      ]);
      const config = readConfig();
      const [models, { devices, silent }] = await Promise.all([describeModels(config), listDevices()]);
      const model = models.find((info) => info.default);
      const status = {
        model: config.model ?? model?.key ?? null,
        model_available: model?.available ?? null,
        device: config.device,
        output_dir: config.outputDir,
        cache_dir: config.cacheDir,
        model_dir: config.modelDir,
        hub_cache: config.hubCache || config.hubHome,
        unload_timeout: config.unloadTimeout,
        cuda_available: devices.some(({ kind }) => kind === 'cuda'),
        mps_available: devices.some(({ kind }) => kind === 'metal'),
        devices,
      };
      if (json) {
        process.stdout.write(`${JSON.stringify(status, null, 2)}\n`);
        return;
      }
      const rows = [
        ['Model', `${status.model}${model?.available === false ? ' (not on this disk)' : ''}`],
        ['Output folder', config.outputDir],
        ['Model folder', config.modelDir],
        ['Hub cache', status.hub_cache],
        ['CUDA', status.cuda_available ? 'available' : 'not available'],
        ...devices.map((device) => ['Device', describeDevice(device)]),
        ...silent.map(({ kind, reason }) => ['Without', `${kind}: ${reason}`]),
      ];
      process.stdout.write(formatTable(rows));
    });
}

function describeDevice({ id, name, memoryFree, memoryTotal }: Device): string {
  return `${id}: ${name}, ${formatBytes(memoryFree)} of ${formatBytes(memoryTotal)} free`;
}
