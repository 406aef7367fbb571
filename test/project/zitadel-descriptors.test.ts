import { createRegistry, type DescFile, type DescService, type Message } from '@bufbuild/protobuf';
import { openapiv2_operation as descriptionForPeople } from '@zitadel/proto/protoc-gen-openapiv2/options/annotations_pb.js';
import { ErrorDetailSchema } from '@zitadel/proto/zitadel/message_pb.js';
import { describe, expect, it } from 'vitest';
import { ErrorDetailSchema as generatedErrorDetail } from '#generated/zitadel/message_pb.js';
import { adminService } from '../../src/api/admin/admin-service.ts';
import { managementService } from '../../src/api/management/management-service.ts';
import { publishedDescriptorOf } from '../../src/api/rpc/method.ts';
import { httpRuleOf } from '../../src/api/rpc/method-options.ts';
import { userService } from '../../src/api/user-v2/user-service.ts';

/** Only named, not called: they need nothing of what they depend on. */
const services = [managementService({} as never), adminService({} as never), userService({} as never)];

/** Every type in the files and in what they import, by its name, as its definition without those of the types in it. */
function definitionsIn(files: readonly DescFile[]): Map<string, string> {
  const definitions = new Map<string, string>();
  for (const type of createRegistry(...files.flatMap(withImports))) {
    if (type.kind !== 'service') definitions.set(type.typeName, definitionOf(type.proto));
  }
  return definitions;
}

function withImports(file: DescFile): DescFile[] {
  return [file, ...file.dependencies.flatMap(withImports)];
}

function definitionOf(proto: object): string {
  return JSON.stringify(proto, (name, value) => {
    if (name === 'nestedType' || name === 'enumType') return undefined;
    if (name === 'options' && value !== undefined) return withoutDescriptions(value);
    return value;
  });
}

/** Without those that describe it to people, which have the same number on whatever they stand; undefined: there are no others. */
function withoutDescriptions({ $typeName, $unknown, ...known }: Message): object | undefined {
  const extensions = $unknown?.filter(({ no }) => no !== descriptionForPeople.number) ?? [];
  const options = Object.entries({ ...known, extensions }).filter(([, values]) => [values].flat().length > 0);
  return options.length === 0 ? undefined : Object.fromEntries(options);
}

function methodsOf({ methods }: DescService): Map<string, string> {
  return new Map(methods.map(({ name, proto }) => [name, definitionOf(proto)]));
}

describe("the generated descriptors of ZITADEL's services", () => {
  it.each(services)(
    '$descriptor.typeName has the methods that are served, as they are published',
    async (service) => {
      const { descriptor, methods } = service;
      expect(descriptor.methods.map(({ name }) => name).toSorted()).toEqual(
        methods.map((method) => method.descriptor.name).toSorted(),
      );
      const published = methodsOf(await publishedDescriptorOf(service));
      expect(published.size).toBeGreaterThan(methods.length);
      for (const [name, definition] of methodsOf(descriptor)) expect(definition).toEqual(published.get(name));
    },
  );

  it.each(services)('$descriptor.typeName has no REST path outside of what is looked at', async (service) => {
    const { basePath, pathPrefix = basePath } = service;
    for (const method of (await publishedDescriptorOf(service)).methods) {
      const rule = method.methodKind === 'unary' ? httpRuleOf(method) : undefined;
      if (rule !== undefined) expect(basePath + rule.path).toMatch(new RegExp(`^${pathPrefix}`));
    }
  });

  it('have the types that those need, as they are published', async () => {
    const published = definitionsIn([
      ErrorDetailSchema.file,
      ...(await Promise.all(services.map(publishedDescriptorOf))).map(({ file }) => file),
    ]);
    const generated = definitionsIn([
      generatedErrorDetail.file,
      ...services.map(({ descriptor: { file } }) => file),
    ]);
    expect(generated.has('zitadel.management.v1.GenerateMachineSecretResponse')).toBe(true);
    expect(published.size).toBeGreaterThan(2 * generated.size);
    for (const [name, definition] of generated) expect(definition).toEqual(published.get(name));
  });
});
