import { describe, expect, it, test } from 'vitest';
import { TargetPolicy } from '../../src/subscriptions/webhooks/target-policy.ts';

const strict = new TargetPolicy({ allowHttp: false, allowedNetworks: [] });
const reason = (policy: TargetPolicy, url: string) => {
  try {
    policy.checkUrl(url);
    return 'allowed';
  } catch (error) {
    return (error as { text: string }).text.replace('URL of the webhook is invalid: ', '');
  }
};

test.each([
  ['https://hooks.example.com/keyturn?tenant=1', 'allowed'],
  ['https://8.8.8.8/', 'allowed'],
  ['https://[2606:4700::1111]/', 'allowed'],
  ['http://hooks.example.com/', 'it must be an https URL'],
  ['ftp://hooks.example.com/', 'it must be an https URL'],
  ['file:///etc/passwd', 'it must be an https URL'],
  ['hooks.example.com', 'it must be an https URL'],
  ['https://user:secret@hooks.example.com/', 'it must not hold credentials'],
  ['https://hooks.example.com/#top', 'it must not have a fragment'],
  ['https://127.0.0.1/', 'its address is not a public one'],
  ['https://0x7f.1/', 'its address is not a public one'],
  ['https://[::1]/', 'its address is not a public one'],
])('%s: %s', (url, expected) => {
  expect(reason(strict, url)).toBe(expected);
});

describe('addresses', () => {
  it.each([
    '0.0.0.0',
    '10.1.2.3',
    '100.64.0.1',
    '127.0.0.1',
    '168.63.129.16',
    '169.254.169.254',
    '172.16.0.1',
    '192.168.1.1',
    '198.18.0.1',
    '224.0.0.1',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:a9fe:a9fe',
    '::ffff:168.63.129.16',
    '::127.0.0.1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    '2001:0:1::1',
    'fc00::1',
    'fd12::1',
    'fe80::1',
    'fec0::1',
    'ff02::1',
    '4000::1',
  ])('%s is not public', (address) => {
    expect(strict.isAllowedAddress(address)).toBe(false);
  });

  it.each(['1.1.1.1', '93.184.216.34', '2606:4700:4700::1111', '::ffff:8.8.8.8'])(
    '%s is public',
    (address) => {
      expect(strict.isAllowedAddress(address)).toBe(true);
    },
  );

  it('in allowed networks are allowed, and no others', () => {
    const policy = new TargetPolicy({
      allowHttp: false,
      allowedNetworks: ['10.1.0.0/16', 'fd00:1::/32', '168.63.129.16/32'],
    });
    const allowed = ['10.1.2.3', '::ffff:10.1.2.3', 'fd00:1::5', '168.63.129.16'];
    expect(allowed.filter((one) => !policy.isAllowedAddress(one))).toEqual([]);
    expect(['10.2.0.1', '127.0.0.1', 'fd00:2::5'].map((one) => policy.isAllowedAddress(one))).toEqual([
      false,
      false,
      false,
    ]);
    expect(reason(policy, 'https://10.1.2.3/')).toBe('allowed');
  });
});

test('plain HTTP is allowed where it is', () => {
  const policy = new TargetPolicy({ allowHttp: true, allowedNetworks: [] });
  expect(reason(policy, 'http://hooks.example.com/')).toBe('allowed');
});

test('a network that is none is refused', () => {
  expect(() => new TargetPolicy({ allowHttp: false, allowedNetworks: ['10.0.0.0'] })).toThrow(RangeError);
});
