import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['./test/support/property-seed.ts'],
    reporters: ['default', './test/support/closing-line-reporter.ts'],
    // Many tests wait, for processes, timers and other nodes: more than one for each core keeps the cores busy.
    maxWorkers: 4,
    // Tests start servers and processes of their own: wide enough that a busy machine does not fail them.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 20_000 } },
  },
});
