import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { eventually } from '../support/eventually.ts';
import { runKeyturn } from '../support/keyturn-process.ts';
import {
  addRobot,
  adminToken,
  managementClient,
  requestToken,
  runningService,
} from '../support/running-service.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const root = join(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');

/** A machine user with a secret, and a folder of its own with programs that the examples call. */
async function rotating() {
  const running = await runningService();
  const robot = await addRobot(managementClient(running.url, await adminToken(running)));
  const folder = temporaryFolder();
  const bin = temporaryFolder();
  const signIn = async (secret = robot.clientSecret) =>
    (await requestToken(running.url, robot.clientId, secret, 'openid')).status;
  return {
    folder,
    robot,
    signIn,
    credentials: running.service.adminCredentialsFile,
    /** Puts a shell script in the way of a program that this machine does not have. */
    program(name: string, script: string) {
      writeFileSync(join(bin, name), `#!/bin/sh\nset -eu\n${script}\n`);
      chmodSync(join(bin, name), 0o755);
    },
    run: (args: readonly string[]) =>
      runKeyturn(args, folder, { PATH: `${bin}${delimiter}${process.env['PATH']}` }),
  };
}

/** The words of a command line: in double quotes, or without blanks. */
const wordsOf = (line: string) =>
  [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');

/** With the paths of this machine and the id of a user that is there. */
const adapted = (words: readonly string[], changes: readonly (readonly [string, string])[]) =>
  words.map((word) => changes.reduce((text, [from, to]) => text.replaceAll(from, to), word));

const exampleUser = '231484827364529153';

describe('the rotation by plain files', () => {
  it('goes as docs/rotation.md says', async () => {
    const { folder, robot, signIn, credentials, run } = await rotating();
    const [, section = ''] = read('docs/rotation.md').split('### Plain files');
    const [, line = ''] = /^ {4}keyturn (rotate .*)$/m.exec(section) ?? [];
    const file = join(folder, 'secret');
    writeFileSync(file, robot.clientSecret);
    const args = adapted(wordsOf(line), [
      [exampleUser, robot.userId],
      ['/srv/robot/secret', file],
    ]);
    const rotation = run([args[0] ?? '', '--credentials', credentials, ...args.slice(1)]);
    await eventually(() => expect(readFileSync(file, 'utf8')).not.toBe(robot.clientSecret));
    expect(await signIn(readFileSync(file, 'utf8'))).toBe(200);
    expect(await rotation).toMatchObject({ status: 0 });
    expect([await signIn(), await signIn(readFileSync(file, 'utf8'))]).toEqual([401, 200]);
  });
});

describe('the rotation by systemd', () => {
  const unit = read('deploy/systemd/rotate-robot.service');
  const [, line = ''] = /^ExecStart=\/usr\/bin\/keyturn (.*)$/m.exec(unit) ?? [];

  /** `robot.service` reads its secret when it starts. */
  async function service() {
    const system = await rotating();
    const { folder, robot, credentials, program, run } = system;
    const [file, loaded] = [join(folder, 'client-secret'), join(folder, 'loaded')];
    writeFileSync(file, robot.clientSecret);
    program('systemctl', `[ "$*" = "try-restart robot.service" ]; cp ${file} ${loaded}`);
    const rotate = (wait: number) =>
      run(
        adapted(wordsOf(line), [
          [exampleUser, robot.userId],
          ['%d/rotator.json', credentials],
          ['/etc/robot/client-secret', file],
          ['600', String(wait)],
        ]),
      );
    return { ...system, rotate, file, loaded };
  }

  it('restarts the service with the new secret', async () => {
    const { robot, rotate, signIn, loaded } = await service();
    const rotation = rotate(60);
    await eventually(() => expect(existsSync(loaded)).toBe(true));
    const secret = readFileSync(loaded, 'utf8');
    // The old one first: the use of the new one ends it.
    expect([await signIn(robot.clientSecret), await signIn(secret)]).toEqual([200, 200]);
    expect(await rotation).toMatchObject({ status: 0 });
    expect([await signIn(secret), await signIn(robot.clientSecret)]).toEqual([200, 401]);
  });

  it('restarts it with the old one when it does not use the new one', async () => {
    const { robot, rotate, signIn, file, loaded } = await service();
    expect(await rotate(1)).toMatchObject({ status: 1 });
    for (const one of [file, loaded]) expect(readFileSync(one, 'utf8')).toBe(robot.clientSecret);
    expect(await signIn()).toBe(200);
  });
});

describe('the rotation by Kubernetes', () => {
  const resources = parseAllDocuments(read('deploy/kubernetes/rotate-robot.yaml')).map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS();
  });
  const ofKind = (kind: string) => resources.find((resource) => resource.kind === kind);

  /** What the scripts ask of a cluster, with the Secret in a file. */
  const kubectl = (secret: string) => `
    case "$*" in
      "get secret robot -o jsonpath={.data.client-secret}") base64 -w0 ${secret} ;;
      "create secret generic robot --from-file=client-secret=/dev/stdin --dry-run=client -o yaml") cat ;;
      "apply -f -") cat > ${secret}.new; mv ${secret}.new ${secret} ;;
      *) echo "unknown: $*" >&2; exit 1 ;;
    esac`;

  async function cluster() {
    const system = await rotating();
    const { folder, robot, credentials, program, run } = system;
    const secret = join(folder, 'secret');
    writeFileSync(secret, robot.clientSecret);
    program('kubectl', kubectl(secret));
    program('sleep', '[ "$*" = 180 ]');
    const before = join(folder, 'before');
    for (const [name, script] of Object.entries<string>(ofKind('ConfigMap').data)) {
      writeFileSync(join(folder, name), script.replaceAll('/tmp/before', before));
    }
    const [container] = ofKind('CronJob').spec.jobTemplate.spec.template.spec.containers;
    const rotate = (wait: number) =>
      run(
        adapted(container.args, [
          [exampleUser, robot.userId],
          ['/etc/keyturn/rotator.json', credentials],
          ['/etc/rotate-robot', folder],
          ['7200', String(wait)],
        ]),
      );
    return { ...system, rotate, secret };
  }

  it('puts the new secret into the Secret', async () => {
    const { robot, rotate, signIn, secret } = await cluster();
    const rotation = rotate(60);
    await eventually(() => expect(readFileSync(secret, 'utf8')).not.toBe(robot.clientSecret));
    const rotated = readFileSync(secret, 'utf8');
    expect([await signIn(), await signIn(rotated)]).toEqual([200, 200]);
    expect(await rotation).toMatchObject({ status: 0 });
    expect([await signIn(rotated), await signIn()]).toEqual([200, 401]);
  });

  it('puts the old one back when nobody uses the new one', async () => {
    const { robot, rotate, signIn, secret } = await cluster();
    expect(await rotate(1)).toMatchObject({ status: 1 });
    expect(readFileSync(secret, 'utf8')).toBe(robot.clientSecret);
    expect(await signIn()).toBe(200);
  });

  it('mounts what it reads, and may do what it does', () => {
    const { serviceAccountName, containers, volumes } = ofKind('CronJob').spec.jobTemplate.spec.template.spec;
    expect(ofKind('ServiceAccount').metadata.name).toBe(serviceAccountName);
    expect(ofKind('RoleBinding').subjects).toEqual([{ kind: 'ServiceAccount', name: serviceAccountName }]);
    expect(ofKind('RoleBinding').roleRef.name).toBe(ofKind('Role').metadata.name);
    const mounted = containers[0].volumeMounts.map(({ name }: { name: string }) => name);
    expect(volumes.map(({ name }: { name: string }) => name)).toEqual(mounted);
    const config = volumes.find((volume: { configMap?: object }) => volume.configMap).configMap.name;
    expect(ofKind('ConfigMap').metadata.name).toBe(config);
  });
});
