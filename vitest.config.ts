import { configDefaults, defineConfig } from 'vitest/config'

export default defineConfig({
  plugins: [
    {
      name: 'sql-as-text',
      transform: (code, id) => (id.endsWith('.sql') ? `export default ${JSON.stringify(code)}` : undefined),
    },
  ],
  test: {
    include: ['test/**/*.test.ts'],
    // Emulated, it takes minutes: `npm run test:arm`.
    exclude: [
      ...configDefaults.exclude,
      ...(process.env.LOTWATCH_TEST_ARM === 'true' ? [] : ['test/arm/**']),
    ],
    // Files share what they import, which takes most of them longer than a start: nothing in it is changed by anybody.
    isolate: false,
    globalSetup: ['test/kit/build.ts'],
    reporters: ['default', './test/kit/summary-reporter.ts'],
    testTimeout: 20_000,
    hookTimeout: 30_000,
    // A deadline, not a speed: a machine that does other things beside is slow.
    expect: { poll: { timeout: 10_000 } },
    // Two cores: real processes beside the tests need one of them.
    maxWorkers: 2,
  },
})
