import type { Latency, Measurement, Run } from './comparison.ts';
import { ask, cpuTimeOf, type Server } from './processes.ts';

/** A request over HTTP. */
export interface HttpRequest {
  readonly method: 'POST' | 'PUT';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** As many requests as there are connections are under way all the time. */
export interface ClosedLoad {
  readonly connections: number;
  readonly requests: readonly HttpRequest[];
  /** How long, or how many requests, each sent once. */
  readonly until: { readonly seconds: number } | { readonly amount: number };
  /** The requests are to be refused: answers count that are no success. */
  readonly isToBeRefused?: boolean;
}

/** Requests come at a steady rate, however fast the server is. */
export interface SteadyLoad {
  readonly requests: readonly HttpRequest[];
  /** A second. */
  readonly rate: number;
  readonly seconds: number;
  /** In milliseconds: what is answered later does not count. */
  readonly deadline: number;
}

/** One HTTP/2 connection with so many calls under way. */
export interface GrpcLoad {
  readonly token: string;
  readonly userIds: readonly string[];
  readonly inFlight: number;
  readonly seconds: number;
}

/** What a process of load answers. */
export interface LoadResult {
  /** Answers a second that count. */
  readonly rate: number;
  /** How many they were. */
  readonly count: number;
  readonly latency: Latency;
  /** Of one core that the load itself took: near 1 it is the load that is measured, not the server. */
  readonly loadShare: number;
}

export type LoadScript = 'closed-load' | 'steady-load' | 'grpc-load';

/**
 * A load on a server, from a process of its own.
 *
 * @param instance of that process: two loads at the same time are two processes
 */
export async function load(
  server: Pick<Server, 'url' | 'pid'>,
  script: LoadScript,
  job: ClosedLoad | SteadyLoad | GrpcLoad,
  instance?: string,
): Promise<Run> {
  const { url, pid } = server;
  const before = await cpuTimeOf(pid);
  const { count, ...run } = await ask<LoadResult>(`harness/${script}.ts`, { ...job, url }, instance);
  return { ...run, cpuTimeEach: ((await cpuTimeOf(pid)) - before) / count };
}

/** The same load again and again. */
export function repeatedLoad(server: Pick<Server, 'url' | 'pid'>, job: ClosedLoad): Measurement {
  return () => load(server, 'closed-load', job);
}
