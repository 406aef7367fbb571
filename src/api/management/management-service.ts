import { ManagementService } from '#generated/zitadel/management_pb.js';
import { implementPublic, type RpcService } from '../rpc/method.ts';
import { type MachineKeyMethodDependencies, machineKeyMethods } from './machine-key-methods.ts';
import { type MachineUserMethodDependencies, machineUserMethods } from './machine-user-methods.ts';
import { type OrganizationMethodDependencies, organizationMethods } from './organization-methods.ts';
import { type UserQueryDependencies, userQueryMethods } from './user-query-methods.ts';

export type ManagementDependencies = MachineUserMethodDependencies &
  UserQueryDependencies &
  MachineKeyMethodDependencies &
  OrganizationMethodDependencies;

/** zitadel.management.v1.ManagementService, as far as it is about machine users. */
export function managementService(dependencies: ManagementDependencies): RpcService {
  return {
    descriptor: ManagementService,
    publishedDescriptor: async () =>
      (await import('@zitadel/proto/zitadel/management_pb.js')).ManagementService,
    basePath: '/management/v1',
    scope: 'organization',
    methods: [
      implementPublic(ManagementService.method.healthz, async () => ({})),
      ...machineUserMethods(dependencies),
      ...userQueryMethods(dependencies),
      ...machineKeyMethods(dependencies),
      ...organizationMethods(dependencies),
    ],
  };
}
