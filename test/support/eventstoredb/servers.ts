import { GenericContainer, getContainerRuntimeClient, Wait } from 'testcontainers';
import { onTestFinished } from 'vitest';
import { EventStoreDbServer } from './server.ts';

/** A place where the suites of the adapter can run, or why they cannot. */
export interface ServerUnderTest {
  readonly name: string;
  /** Others have events there too, and so had tests before. */
  readonly isShared: boolean;
  readonly unavailable?: string;
  connectionString(): Promise<string>;
}

/** The image of docker-compose.yml. */
const image = 'docker.kurrent.io/kurrent-lts/kurrentdb:26.0.3';

export const inProcess: ServerUnderTest = {
  name: 'EventStoreDB in this process',
  isShared: false,
  async connectionString() {
    const server = await EventStoreDbServer.start();
    onTestFinished(() => server.stop());
    return server.connectionString;
  },
};

function fromEnvironment(): ServerUnderTest {
  const connectionString = process.env['KEYTURN_TEST_EVENTSTOREDB'];
  return {
    name: 'the EventStoreDB of KEYTURN_TEST_EVENTSTOREDB',
    isShared: true,
    ...(connectionString === undefined && { unavailable: 'KEYTURN_TEST_EVENTSTOREDB is not set' }),
    connectionString: async () => connectionString ?? '',
  };
}

/** Started with the first test, and removed by testcontainers' own reaper when the process has ended. */
async function inContainer(): Promise<ServerUnderTest> {
  const name = `KurrentDB in a container (${image})`;
  let connectionString: Promise<string> | undefined;
  const start = async () => {
    const container = await new GenericContainer(image)
      .withEnvironment({
        KURRENTDB_CLUSTER_SIZE: '1',
        KURRENTDB_INSECURE: 'true',
        KURRENTDB_MEM_DB: 'true',
        KURRENTDB_RUN_PROJECTIONS: 'None',
        KURRENTDB_TELEMETRY_OPTOUT: 'true',
      })
      .withExposedPorts(2113)
      .withWaitStrategy(Wait.forHttp('/health/live', 2113).forStatusCode(204))
      .start();
    return `esdb://${container.getHost()}:${container.getMappedPort(2113)}?tls=false`;
  };
  try {
    await getContainerRuntimeClient();
  } catch (error) {
    const unavailable = `no Docker engine answers (${error instanceof Error ? error.message : error})`;
    return { name, isShared: true, unavailable, connectionString: start };
  }
  return {
    name,
    isShared: true,
    connectionString: () => {
      connectionString ??= start();
      return connectionString;
    },
  };
}

/** The three places, and a line on each in the output: whether its suites run, and if not, why. */
export async function serversUnderTest(): Promise<readonly ServerUnderTest[]> {
  const servers = [inProcess, fromEnvironment(), await inContainer()];
  for (const { name, unavailable } of servers) {
    process.stdout.write(`${name}: ${unavailable === undefined ? 'tested' : `not tested, ${unavailable}`}\n`);
  }
  return servers;
}
