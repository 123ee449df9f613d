// The MCP door: one server factory for stdio and HTTP and for both generations of the protocol.
import { McpServer, type McpServerFactory, ResourceTemplate } from '@modelcontextprotocol/server';
import type { ImageService } from '../service/image-service.js';
import type { JobStore } from '../service/jobs/store.js';
import { readSavedPicture } from '../service/request/saved-picture.js';
import { readVersion } from '../shared/version.js';
import { addImageTools, addJobTool, addUpscaleTool } from './image-tools.js';
import { IMAGE_TEMPLATE } from './results.js';
import { addStateTools } from './state-tools.js';

const INSTRUCTIONS =
  'Makes images on this machine. generate_image, edit_image and inpaint_image answer with a preview, the path of the ' +
  'full image and its seed, upscale_image with a larger one. A long generation answers {"status": "running", "job_id"}; then call job with action "wait". ' +
  'list_models says which models are available.';

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
      async (uri, { file }) => {
        const picture = await readSavedPicture(decodeURIComponent(String(file)), service.config);
        return { contents: [{ uri: uri.href, mimeType: 'image/png', blob: picture.toString('base64') }] };
      },
    );
    return server;
  };
}
