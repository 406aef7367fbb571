import { AdminService } from '#generated/zitadel/admin_pb.js';
import { implementPublic, type RpcService } from '../rpc/method.ts';
import { type EventMethodDependencies, eventMethods } from './event-methods.ts';
import { type InstanceMethodDependencies, instanceMethods } from './instance-methods.ts';

export type AdminDependencies = EventMethodDependencies & InstanceMethodDependencies;

/** zitadel.admin.v1.AdminService, as far as it is about organizations, members and events. Only roles of the instance count. */
export function adminService(dependencies: AdminDependencies): RpcService {
  return {
    descriptor: AdminService,
    publishedDescriptor: async () => (await import('@zitadel/proto/zitadel/admin_pb.js')).AdminService,
    basePath: '/admin/v1',
    scope: 'instance',
    methods: [
      implementPublic(AdminService.method.healthz, async () => ({})),
      ...instanceMethods(dependencies),
      ...eventMethods(dependencies),
    ],
  };
}
