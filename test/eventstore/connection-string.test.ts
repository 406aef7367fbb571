import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { EventStoreUnusableError } from '../../src/eventstore/errors.ts';
import { describeStore, readConnectionString } from '../../src/eventstore/eventstoredb/connection-string.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const password = 'Pa55-w0rd';

describe('a connection string', () => {
  it('is read in all the schemes of the store and its clients', () => {
    for (const scheme of ['esdb', 'kurrentdb', 'kurrent', 'kdb']) {
      expect(readConnectionString(`${scheme}://node:2114`)).toMatchObject({
        hosts: [{ address: 'node', port: 2114 }],
        discover: false,
        tls: true,
      });
      expect(readConnectionString(`${scheme}+discover://cluster.example`)).toMatchObject({
        hosts: [{ address: 'cluster.example', port: 2113 }],
        discover: true,
      });
    }
  });

  it('gives credentials, deadlines and files', () => {
    const file = join(temporaryFolder(), 'ca.crt');
    writeFileSync(file, 'PEM');
    const settings = readConnectionString(
      `esdb://admin:${password}@a:1,b:2?tlsCAFile=${file}&defaultDeadline=700&keepAliveInterval=-1&connectionName=one`,
    );
    expect(settings).toMatchObject({
      hosts: [
        { address: 'a', port: 1 },
        { address: 'b', port: 2 },
      ],
      credentials: { username: 'admin', password },
      deadline: 700,
      keepAliveInterval: -1,
      connectionName: 'one',
    });
    expect(settings.certificateAuthority?.toString()).toBe('PEM');
    expect(describeStore(settings)).toBe('esdb://a:1,b:2');
  });

  it.each([
    ['another scheme', `https://admin:${password}@node`, /begins with esdb:/],
    ['no host', `esdb://admin:${password}@`, /its form is/],
    ['a port that is no number', `esdb://admin:${password}@node:port`, /its form is/],
    ['an unknown option', `esdb://admin:${password}@node?tlz=false`, /no option "tlz"/],
    ['a wrong value', `esdb://admin:${password}@node?tls=no`, /its form is/],
    [
      'a follower',
      `esdb://admin:${password}@node?nodePreference=follower`,
      /nodePreference can only be leader/,
    ],
    [
      'an option without effect',
      `esdb://admin:${password}@node?tlsVerifyCert=false`,
      /tlsVerifyCert has no effect/,
    ],
    ['a missing file', `esdb://admin:${password}@node?tlsCAFile=/no/such`, /does not exist: \/no\/such/],
    ['half a certificate', `esdb://admin:${password}@node?userCertFile=/no`, /go together/],
  ])('with %s is refused, and the password is shown nowhere', (_, text, reason) => {
    const warn = vi.spyOn(console, 'warn');
    let refusal: unknown;
    try {
      readConnectionString(text);
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toBeInstanceOf(EventStoreUnusableError);
    const { message, stack } = refusal as Error;
    expect(message).toMatch(reason);
    expect(JSON.stringify([message, stack, refusal])).not.toContain(password);
    expect(warn).not.toHaveBeenCalled();
    warn.mockRestore();
  });
});
