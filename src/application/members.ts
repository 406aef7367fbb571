import { instance, instanceId, machineUser, organization } from '../domain/aggregates.ts';
import { KeyturnError } from '../domain/errors.ts';
import { ownerRole } from '../domain/instance/decider.ts';
import { exists } from '../domain/machine-user/state.ts';
import type { MembershipScope } from '../domain/members.ts';
import type { CommandContext, CommandHandler } from './command-handler.ts';
import type { ChangeDetails, MachineUserReference, MachineUsers } from './machine-users.ts';
import type { Owners } from './owners.ts';

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

  constructor(commands: CommandHandler, owners: Owners) {
    this.#commands = commands;
    this.#owners = owners;
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
    const change = () => this.#execute(scope, { type: 'ChangeMember', ...member }, context);
    if (scope !== 'instance' || member.roles.includes(ownerRole)) return change();
    return this.#owners.unlessLast(member.userId, change);
  }

  /** @throws KeyturnError `MEMBER_NOT_FOUND`, `LAST_OWNER` */
  async remove(scope: MembershipScope, userId: string, context: CommandContext): Promise<ChangeDetails> {
    const remove = () => this.#execute(scope, { type: 'RemoveMember', userId }, context);
    return scope === 'instance' ? this.#owners.unlessLast(userId, remove) : remove();
  }

  /**
   * All that the user may do, and then what `after` does.
   *
   * @throws KeyturnError `LAST_OWNER`, and then nothing is done
   */
  removeAll<Result>(
    userId: string,
    scopes: readonly MembershipScope[],
    after: () => Promise<Result>,
    context: CommandContext,
  ): Promise<Result> {
    return this.#owners.unlessLast(userId, async () => {
      for (const scope of scopes) {
        await this.#execute(scope, { type: 'RemoveMember', userId }, context).catch(ignoreMemberNotFound);
      }
      return after();
    });
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
  const scopes = directory.membershipsOf(user.userId).map(({ scope }) => scope);
  return members.removeAll(user.userId, scopes, () => machineUsers.remove(user, context), context);
}

/** Another request, or another node, was faster. */
function ignoreMemberNotFound(error: unknown): void {
  if (!(error instanceof KeyturnError && error.code === 'MEMBER_NOT_FOUND')) throw error;
}
