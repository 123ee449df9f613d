// Serves Swagger UI from the package's own files, so it works without a network.
import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import type { Hono } from 'hono';

const ASSETS: Record<string, string> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
};

const PAGE = `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>ImageForge API</title>
  <link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
  <div id="swagger-ui"></div>
  <script src="/docs/swagger-ui-bundle.js"></script>
  <script src="/docs/start.js"></script>
</body>
</html>
`;
const START = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#swagger-ui', deepLinking: true, persistAuthorization: true });\n`;
const POLICY =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; base-uri 'none'; frame-ancestors 'none'";

export function addDocs(app: Hono, describe: () => object): void {
  let document: object | undefined;
  app.get('/openapi.json', (c) => {
    document ??= describe();
    return c.json(document);
  });
  app.get('/docs', (c) => c.html(PAGE, 200, { 'Content-Security-Policy': POLICY }));
  app.get('/docs/start.js', (c) => c.body(START, 200, { 'Content-Type': 'text/javascript; charset=utf-8' }));
  app.get('/docs/:file', async (c) => {
    const file = c.req.param('file');
    const type = Object.hasOwn(ASSETS, file) ? ASSETS[file] : undefined;
    if (type === undefined) return c.notFound();
    const packed = await readFile(new URL(`../../assets/swagger-ui/${file}.gz`, import.meta.url));
    const unpacks = /\bgzip\b/.test(c.req.header('accept-encoding') ?? '');
    return c.body(new Uint8Array(unpacks ? packed : gunzipSync(packed)), 200, {
      'Content-Type': type,
      'Cache-Control': 'public, max-age=86400',
      Vary: 'Accept-Encoding',
      ...(unpacks && { 'Content-Encoding': 'gzip' }),
    });
  });
}
