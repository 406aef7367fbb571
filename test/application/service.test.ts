import { expect, test, vi } from 'vitest';
import { SecretTimekeeper } from '../../src/application/secret-timekeeper.ts';
import { EventStoreClosedError } from '../../src/eventstore/errors.ts';
import { runningService } from '../support/running-service.ts';

test('a part that cannot be closed is told, and keeps no other one open', async () => {
  const { service } = await runningService();
  vi.spyOn(SecretTimekeeper.prototype, 'close').mockRejectedValueOnce(new Error('a timer is stuck'));
  await expect(service.close()).rejects.toThrow('a timer is stuck');
  await expect(Array.fromAsync(service.eventStore.readAll())).rejects.toThrow(EventStoreClosedError);
});
