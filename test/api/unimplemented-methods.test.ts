import { Code } from '@connectrpc/connect';
import { expect, onTestFinished, test, vi } from 'vitest';
import { rawGrpc } from '../support/rpc-clients.ts';
import { answerOf, runningService } from '../support/running-service.ts';

test('methods that are not implemented are named again where they could not be loaded', async () => {
  const { url } = await runningService();
  vi.doMock('@zitadel/proto/zitadel/management_pb.js', () => {
    throw new Error('too many open files');
  });
  onTestFinished(() => void vi.doUnmock('@zitadel/proto/zitadel/management_pb.js'));
  const overRest = async () =>
    answerOf(await fetch(`${url}/management/v1/projects/_search`, { method: 'POST' }));
  const overGrpc = () =>
    rawGrpc(url, '/zitadel.management.v1.ManagementService/ListProjects', '', Buffer.alloc(5));
  expect([(await overRest()).status, await overGrpc()]).toEqual([500, String(Code.Internal)]);

  vi.doUnmock('@zitadel/proto/zitadel/management_pb.js');
  const text = 'zitadel.management.v1.ManagementService.ListProjects is not implemented';
  expect(await overRest()).toMatchObject({ status: 501, body: { code: Code.Unimplemented, message: text } });
  expect(await overGrpc()).toBe(String(Code.Unimplemented));
});

test('a path under which ZITADEL has no methods loads none of them', async () => {
  const { url } = await runningService();
  for (const file of ['admin', 'management', 'user/v2/user_service']) {
    vi.doMock(`@zitadel/proto/zitadel/${file}_pb.js`, () => {
      throw new Error('loaded');
    });
    onTestFinished(() => void vi.doUnmock(`@zitadel/proto/zitadel/${file}_pb.js`));
  }
  expect((await fetch(`${url}/favicon.ico`)).status).toBe(404);
  expect((await fetch(`${url}/v2/sessions`)).status).toBe(500);
});
