import { instance, instanceId, machineUser, organization } from '../domain/aggregates.ts';
import { KeyturnError } from '../domain/errors.ts';
import { ownerRole } from '../domain/instance/decider.ts';
import { exists } from '../domain/machine-user/state.ts';
import type { MembershipScope } from '../domain/members.ts';
import type { CommandContext, CommandHandler } from './command-handler.ts';
import type { ChangeDetails, MachineUserReference, MachineUsers } from './machine-users.ts';
import { Owners } from './owners.ts';

type MemberCommand =
  | {
      readonly type: 'AddMember' | 'ChangeMember';
      readonly userId: string;
      readonly roles: readonly string[];
    }
  | { readonly type: 'RemoveMember'; readonly userId: string };

/** The use cases of members: who has which roles where. */
export class Members {
  readonly #commands: CommandHandler;
  readonly #owners: Owners;

  constructor(commands: CommandHandler) {
    this.#commands = commands;
    this.#owners = new Owners(commands);
  }

  /** @throws KeyturnError `USER_NOT_FOUND`, `MEMBER_ROLES_INVALID`, `MEMBER_ALREADY_EXISTS` */
  async add(
    scope: MembershipScope,
    member: { readonly userId: string; readonly roles: readonly string[] },
    context: CommandContext,
  ): Promise<ChangeDetails> {
    const { state } = await this.#commands.load(machineUser, member.userId);
    if (!exists(state)) throw new KeyturnError('USER_NOT_FOUND');
    return this.#execute(scope, { type: 'AddMember', ...member }, context);
  }

  /** @throws KeyturnError `MEMBER_ROLES_INVALID`, `MEMBER_NOT_FOUND`, `MEMBER_NOT_CHANGED`, `LAST_OWNER` */
  async change(
    scope: MembershipScope,
    member: { readonly userId: string; readonly roles: readonly string[] },
    context: CommandContext,
  ): Promise<ChangeDetails> {
    if (scope === 'instance' && !member.roles.includes(ownerRole)) {
      await this.#owners.requireOtherThan(member.userId);
    }
    return this.#execute(scope, { type: 'ChangeMember', ...member }, context);
  }

  /** @throws KeyturnError `MEMBER_NOT_FOUND`, `LAST_OWNER` */
  async remove(scope: MembershipScope, userId: string, context: CommandContext): Promise<ChangeDetails> {
    if (scope === 'instance') await this.#owners.requireOtherThan(userId);
    return this.#execute(scope, { type: 'RemoveMember', userId }, context);
  }

  /** Before a user loses all that it may do. Throws KeyturnError `LAST_OWNER`. */
  requireOwnerOtherThan(userId: string): Promise<void> {
    return this.#owners.requireOtherThan(userId);
  }

  async #execute(
    scope: MembershipScope,
    command: MemberCommand,
    context: CommandContext,
  ): Promise<ChangeDetails> {
    const isInstance = scope === 'instance';
    const { state, streamVersion, occurredAt } = isInstance
      ? await this.#commands.execute(instance, instanceId, command, context)
      : await this.#commands.execute(organization, scope.organizationId, command, context);
    if (state.status === 'absent') throw new KeyturnError('ORGANIZATION_NOT_FOUND');
    return {
      sequence: streamVersion,
      creationDate: command.type === 'AddMember' ? occurredAt : state.addedAt,
      changeDate: occurredAt,
      resourceOwner: isInstance ? instanceId : scope.organizationId,
    };
  }
}

export interface MembershipDirectory {
  membershipsOf(userId: string): readonly { readonly scope: MembershipScope }[];
}

/**
 * Removes a machine user with all that it may do. Its memberships go first: what a crash leaves is a user without rights.
 *
 * @throws KeyturnError `USER_NOT_FOUND`, `LAST_OWNER`
 */
export async function removeMachineUser(
  {
    machineUsers,
    members,
    directory,
  }: {
    readonly machineUsers: MachineUsers;
    readonly members: Members;
    readonly directory: MembershipDirectory;
  },
  user: MachineUserReference,
  context: CommandContext,
): Promise<ChangeDetails> {
  await machineUsers.requireUser(user);
  await members.requireOwnerOtherThan(user.userId);
  for (const { scope } of directory.membershipsOf(user.userId)) {
    await members.remove(scope, user.userId, context).catch(ignoreMemberNotFound);
  }
  return machineUsers.remove(user, context);
}

/** Another request, or another node, was faster. */
function ignoreMemberNotFound(error: unknown): void {
  if (!(error instanceof KeyturnError && error.code === 'MEMBER_NOT_FOUND')) throw error;
}
