import { create, type DescFile, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { AdminService } from '@zitadel/proto/zitadel/admin_pb.js';
import { ManagementService } from '@zitadel/proto/zitadel/management_pb.js';
import { UserService } from '@zitadel/proto/zitadel/user/v2/user_service_pb.js';

/** Writes the published descriptors of ZITADEL's services to standard output, for Buf to take from them what is served. */
const files = new Set<DescFile>();
for (const { file } of [ManagementService, AdminService, UserService]) addAfterItsImports(file);
const set = create(FileDescriptorSetSchema, { file: Array.from(files, ({ proto }) => proto) });
process.stdout.write(toBinary(FileDescriptorSetSchema, set));

function addAfterItsImports(file: DescFile): void {
  for (const imported of file.dependencies) addAfterItsImports(imported);
  files.add(file);
}
