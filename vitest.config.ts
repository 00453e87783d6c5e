import { configDefaults, defineConfig } from 'vitest/config'

export default defineConfig({
  plugins: [
    {
      name: 'sql-as-text',
      transform: (code, id) => (id.endsWith('.sql') ? `export default ${JSON.stringify(code)}` : undefined),
    },
  ],
  test: {
    projects: [
      // They touch nothing that is everybody's, and share what they import: that takes longer than they do.
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'], isolate: false } },
      {
        extends: true,
        test: {
          name: 'whole',
          include: ['test/**/*.test.ts'],
          // Emulated, it takes minutes: `npm run test:arm`.
          exclude: [
            ...configDefaults.exclude,
            'test/unit/**',
            ...(process.env.LOTWATCH_TEST_ARM === 'true' ? [] : ['test/arm/**']),
          ],
        },
      },
    ],
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
