import { once } from 'node:events';
import { get } from 'node:http';
import { createConfig, lintFromString } from '@redocly/openapi-core';
import { expect, test } from 'vitest';
import { answerOf, runningService } from '../support/running-service.ts';

test('the OpenAPI document is one, by the rules of a linter', async () => {
  const externalUrl = 'https://keyturn.acme.dev';
  const { url } = await runningService({ externalUrl });
  const { status, body } = await answerOf(await fetch(`${url}/openapi.json`));
  expect([status, body.openapi, body.servers]).toEqual([200, '3.1.0', [{ url: externalUrl }]]);
  const config = await createConfig({ extends: ['recommended'] });
  const problems = await lintFromString({
    source: JSON.stringify(body),
    absoluteRef: 'openapi.json',
    config,
  });
  expect(problems.map(({ ruleId, message, location }) => [ruleId, message, location[0]?.pointer])).toEqual(
    [],
  );
});

test('the OpenAPI document shows the operation that the API page starts from', async () => {
  const { url } = await runningService();
  const { body } = await answerOf(await fetch(`${url}/openapi.json`));
  const operation = body.paths['/management/v1/users/{user_id}/secret'].put;
  expect(operation.operationId).toBe('zitadel.management.v1.ManagementService.GenerateMachineSecret');
  expect(operation.parameters).toContainEqual({
    name: 'user_id',
    in: 'path',
    required: true,
    schema: { type: 'string', minLength: 1 },
  });
  const answer = body.components.schemas['zitadel.management.v1.GenerateMachineSecretResponse'];
  expect(answer.properties.clientSecret).toEqual({ type: 'string' });
  expect(body.components.schemas['zitadel.v1.ObjectDetails'].properties.sequence).toMatchObject({
    type: 'string',
    format: 'uint64',
  });
});

test('the OpenAPI document describes what is no method: OAuth, the event stream, the log and leaks', async () => {
  const { url } = await runningService();
  const { body } = await answerOf(await fetch(`${url}/openapi.json`));
  const { body: metadata } = await answerOf(await fetch(`${url}/.well-known/oauth-authorization-server`));
  const endpoints = Object.entries<string>(metadata)
    .filter(([name]) => /_(endpoint|uri)$/.test(name))
    .map(([, endpoint]) => new URL(endpoint).pathname);
  expect(endpoints.length).toBeGreaterThan(4);
  expect(Object.keys(body.paths)).toEqual(
    expect.arrayContaining([
      ...endpoints,
      '/.well-known/oauth-authorization-server',
      '/.well-known/openid-configuration',
      '/keyturn/v1/events',
      '/keyturn/v1/log/checkpoint',
      '/keyturn/v1/leaks',
    ]),
  );
  const unknownRoute = await (await fetch(`${url}/nowhere`)).text();
  for (const [path, operations] of Object.entries<Record<string, object>>(body.paths)) {
    if (!('get' in operations) || path.includes('{')) continue;
    expect([path, await (await fetch(url + path)).text()]).not.toEqual([path, unknownRoute]);
  }
});

test('the document can be read on a page, which loads nothing from elsewhere', async () => {
  const { url } = await runningService();
  const page = await fetch(`${url}/docs`);
  const html = await page.text();
  expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
  expect(page.headers.get('content-security-policy')).toContain("default-src 'self'");
  const loaded = Array.from(html.matchAll(/(?:src|href)="([^"]+)"/g), ([, source = '']) => source);
  expect(loaded.length).toBeGreaterThan(3);
  for (const source of loaded) {
    const asset = await fetch(new URL(source, `${url}/docs/`));
    expect([source, asset.status, new URL(asset.url).origin]).toEqual([source, 200, url]);
    expect((await asset.arrayBuffer()).byteLength).toBeGreaterThan(100);
  }
  const script = await (await fetch(`${url}/docs/static/swagger-initializer.js`)).text();
  expect(script).toContain('/openapi.json');
});

test('a part of the page that a browser has is answered with nothing but that it is the same', async () => {
  const { url } = await runningService();
  const style = `${url}/docs/static/swagger-ui.css`;
  const etag = (await fetch(style)).headers.get('etag') ?? '';
  // Not by fetch, which asks all caches on the way for a new one.
  const [again] = await once(get(style, { headers: { 'if-none-match': etag } }), 'response');
  again.resume();
  const { 'content-type': type, 'content-length': length } = again.headers;
  // A cache would take them for those of what it has.
  expect([again.statusCode, type, length]).toEqual([304, undefined, undefined]);
});

test('what the page does not have, and does not take, is refused as everywhere', async () => {
  const { url } = await runningService();
  const refusals = await Promise.all(
    [
      fetch(`${url}/docs/nowhere`),
      fetch(`${url}/docs/static/a%00b`),
      fetch(`${url}/docs/static/swagger-ui.css`, { headers: { range: 'bytes=999999999-' } }),
    ].map(async (answer) => (await answer).json()),
  );
  const [notFound, unreadable] = [{ code: 5, message: 'Not Found' }, { code: 3 }];
  expect(refusals).toMatchObject([notFound, unreadable, unreadable]);
});
