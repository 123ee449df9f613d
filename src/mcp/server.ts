// The MCP door: one factory of servers, for stdio and HTTP, for both eras of the protocol.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { McpServer, type McpServerFactory, ResourceTemplate } from '@modelcontextprotocol/server';
import type { ImageService } from '../service/image-service.js';
import type { JobStore } from '../service/jobs/store.js';
import { confinePath } from '../service/request/paths.js';
import { ImageForgeError } from '../shared/errors.js';
import { readVersion } from '../shared/version.js';
import { addImageTools, addJobTool, addUpscaleTool } from './image-tools.js';
import { IMAGE_TEMPLATE } from './results.js';
import { addStateTools } from './state-tools.js';

const INSTRUCTIONS =
  'Makes images on this machine. generate_image, edit_image and inpaint_image answer with a preview, the path of the ' +
  'full image and its seed, upscale_image with a larger one; a long generation answers {"status": "running", "job_id"}: then call job with action "wait". ' +
  'list_models tells which models are available.';

export function createMcpFactory(service: ImageService, jobs: JobStore): McpServerFactory {
  return () => {
    const server = new McpServer(
      { name: 'imageforge', title: 'ImageForge', version: readVersion() },
      { instructions: INSTRUCTIONS },
    );
    addImageTools(server, service, jobs);
    addStateTools(server, service);
    addJobTool(server, jobs);
    addUpscaleTool(server, service, jobs);
    server.registerResource(
      'image',
      new ResourceTemplate(IMAGE_TEMPLATE, { list: undefined }),
      { title: 'An image that was made', mimeType: 'image/png' },
      async (uri, { file }) => ({
        contents: [{ uri: uri.href, mimeType: 'image/png', blob: await readImage(String(file), service) }],
      }),
    );
    return server;
  };
}

async function readImage(encoded: string, { config }: ImageService): Promise<string> {
  const name = decodeURIComponent(encoded);
  if (!/^[^/\\.\0][^/\\\0]*\.png$/i.test(name))
    throw new ImageForgeError('NOT_FOUND', `There is no image ${name} in the output folder.`);
  const file = confinePath(path.join(config.outputDir, name), [config.outputDir], config);
  return (await readFile(file)).toString('base64');
}
