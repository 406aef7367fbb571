import {
  createRegistry,
  type DescExtension,
  type DescFile,
  type Registry,
  toBinary,
} from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Code, type ConnectRouter } from '@connectrpc/connect';
import {
  ServerReflection,
  type ServerReflectionRequest,
} from '#generated/grpc/reflection/v1/reflection_pb.js';
import { ServerReflection as ServerReflectionAlpha } from '#generated/grpc/reflection/v1alpha/reflection_pb.js';
import { Health } from '#generated/health/v1/health_pb.js';
import { loadedWhenUsed } from '../loaded-when-used.ts';
import { publishedDescriptorOf } from './method.ts';
import type { ServedService } from './served-method.ts';

/**
 * gRPC server reflection, v1 and v1alpha, so that grpcurl and the like need no .proto files.
 *
 * The two versions have the same messages under different names: one answer fits both.
 */
export function reflectionServices(router: ConnectRouter, services: readonly ServedService[]): void {
  const own = [Health, ServerReflection, ServerReflectionAlpha];
  const names = [...services.map(({ descriptor }) => descriptor), ...own]
    .map(({ typeName }) => ({ name: typeName }))
    .toSorted(byName);
  const definitions = loadedWhenUsed(async () => {
    const published = await Promise.all(services.map(publishedDescriptorOf));
    const files = withImports([...published, ...own].map(({ file }) => file));
    return {
      filesByName: new Map(files.map((file) => [file.proto.name, file])),
      registry: createRegistry(...files),
    };
  });

  const answer = async ({ messageRequest }: Pick<ServerReflectionRequest, 'messageRequest'>) => {
    const { filesByName, registry } = await definitions();
    switch (messageRequest.case) {
      case 'listServices':
        return { case: 'listServicesResponse' as const, value: { service: names } };
      case 'fileByFilename':
        return fileAnswer(filesByName.get(messageRequest.value), messageRequest.value);
      case 'fileContainingSymbol':
        return fileAnswer(fileOfSymbol(registry, messageRequest.value), messageRequest.value);
      case 'fileContainingExtension': {
        const { containingType, extensionNumber } = messageRequest.value;
        const extension = extensionsOf(registry, containingType).find(
          (one) => one.number === extensionNumber,
        );
        return fileAnswer(extension?.file, `${containingType} ${extensionNumber}`);
      }
      case 'allExtensionNumbersOfType': {
        const baseTypeName = messageRequest.value;
        if (registry.getMessage(baseTypeName) === undefined) return notFound(baseTypeName);
        const extensionNumber = extensionsOf(registry, baseTypeName).map((one) => one.number);
        return { case: 'allExtensionNumbersResponse' as const, value: { baseTypeName, extensionNumber } };
      }
      case undefined:
        return failure(Code.InvalidArgument, 'the request asks for nothing');
    }
  };

  router.service(ServerReflection, {
    async *serverReflectionInfo(requests) {
      for await (const request of requests) {
        yield { validHost: request.host, originalRequest: request, messageResponse: await answer(request) };
      }
    },
  });
  router.service(ServerReflectionAlpha, {
    async *serverReflectionInfo(requests) {
      for await (const request of requests) {
        const { messageRequest } = request as unknown as ServerReflectionRequest;
        yield {
          validHost: request.host,
          originalRequest: request,
          messageResponse: await answer({ messageRequest }),
        };
      }
    },
  });
}

/** The files, and all that they import, each once. */
function withImports(files: readonly DescFile[], found = new Map<string, DescFile>()): DescFile[] {
  for (const file of files) {
    if (found.has(file.name)) continue;
    found.set(file.name, file);
    withImports(file.dependencies, found);
  }
  return [...found.values()];
}

function fileAnswer(file: DescFile | undefined, asked: string) {
  if (file === undefined) return notFound(asked);
  const fileDescriptorProto = [toBinary(FileDescriptorProtoSchema, file.proto)];
  return { case: 'fileDescriptorResponse' as const, value: { fileDescriptorProto } };
}

/** The symbol is a message, an enum, a service, an extension, or a method or field of one. */
function fileOfSymbol(registry: Registry, symbol: string): DescFile | undefined {
  const owner = registry.get(symbol) ?? registry.get(symbol.slice(0, symbol.lastIndexOf('.')));
  return owner?.file;
}

function extensionsOf(registry: Registry, typeName: string): DescExtension[] {
  return [...registry].filter(
    (one) => one.kind === 'extension' && one.extendee.typeName === typeName,
  ) as DescExtension[];
}

function notFound(asked: string) {
  return failure(Code.NotFound, `not found: ${asked}`);
}

function failure(errorCode: Code, errorMessage: string) {
  return { case: 'errorResponse' as const, value: { errorCode, errorMessage } };
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1;
}
