/** Settings of what analysts may do beyond plain questions: SQL, exports, the live feed. */
import { Type } from 'typebox'

export const analystSettings = {
  exportsDir: Type.Optional(
    Type.String({
      description:
        'where exports are kept, and what questions in SQL need while they run; absent: exports in the data folder',
    }),
  ),
  sqlTimeoutSec: Type.Integer({
    default: 30,
    minimum: 1,
    maximum: 3600,
    description: 'how long a SELECT may take',
  }),
  sqlMemoryMb: Type.Integer({
    default: 512,
    minimum: 64,
    maximum: 1_048_576,
    description: 'memory a SELECT may take, in a process of its own',
  }),
  sqlSpillMb: Type.Integer({
    default: 1024,
    minimum: 0,
    maximum: 1_048_576,
    description: 'disk a SELECT or an export may take for what does not fit into memory',
  }),
  sqlResultMb: Type.Integer({
    default: 512,
    minimum: 1,
    maximum: 1_048_576,
    description: 'size of the answer to a SELECT at most',
  }),
  sqlRowsMax: Type.Integer({
    default: 1_000_000,
    minimum: 1,
    maximum: 1_000_000_000,
    description: 'rows of the answer to a SELECT at most',
  }),
  sqlThreads: Type.Integer({
    default: 1,
    minimum: 1,
    maximum: 256,
    description: 'threads a SELECT or an export may use',
  }),
  sqlAtOnceMax: Type.Integer({
    default: 2,
    minimum: 1,
    maximum: 64,
    description: 'SELECTs answered at once; more are told to come back',
  }),
  sqlSnapshotAgeSec: Type.Integer({
    default: 15,
    minimum: 0,
    maximum: 3600,
    description: 'how old the copy of open days may be that a SELECT reads',
  }),
  liveReadingsMax: Type.Integer({
    default: 50_000,
    minimum: 100,
    maximum: 10_000_000,
    description: 'readings the live feed keeps for those who come back, and who may be that far behind',
  }),
  liveListenersMax: Type.Integer({
    default: 200,
    minimum: 1,
    maximum: 10_000,
    description: 'listeners of the live feed at once',
  }),
  liveStallSec: Type.Integer({
    default: 30,
    minimum: 1,
    maximum: 3600,
    description: 'how long a listener may take nothing before it is cut',
  }),
  exportMemoryMb: Type.Integer({
    default: 128,
    minimum: 64,
    maximum: 1_048_576,
    description: 'memory an export may take, in a process of its own',
  }),
  exportTimeoutSec: Type.Integer({
    default: 3600,
    minimum: 1,
    maximum: 86_400,
    description: 'how long an export may take',
  }),
  exportResultMb: Type.Integer({
    default: 4096,
    minimum: 1,
    maximum: 1_048_576,
    description: 'size of an export at most',
  }),
  exportsKeptMb: Type.Integer({
    default: 10_240,
    minimum: 1,
    maximum: 1_048_576,
    description: 'size of all exports together; beyond it no more are taken in',
  }),
  exportsKeptHours: Type.Integer({
    default: 24,
    minimum: 1,
    maximum: 24 * 365,
    description: 'how long an export can be fetched',
  }),
  exportsPerClientMax: Type.Integer({
    default: 10,
    minimum: 1,
    maximum: 1000,
    description: 'exports a client may have, finished ones too',
  }),
  exportsMax: Type.Integer({
    default: 100,
    minimum: 1,
    maximum: 10_000,
    description: 'exports there may be at once',
  }),
  exportFetchesMax: Type.Integer({
    default: 20,
    minimum: 1,
    maximum: 1000,
    description: 'exports fetched at once',
  }),
  requestsPerMinuteMax: Type.Integer({
    default: 6000,
    minimum: 1,
    maximum: 1_000_000,
    description: 'requests of one client, or one person at the console, per minute; handovers aside',
  }),
  requestsAtOnceMax: Type.Integer({
    default: 50,
    minimum: 1,
    maximum: 10_000,
    description:
      'requests of one client, or one person at the console, at once; handovers aside, each listener of the live feed is one',
  }),
  feedsPublic: Type.Boolean({
    default: false,
    description: 'whether /v1/feeds is open to everybody; otherwise it wants a token that may read',
  }),
  feedCityId: Type.String({
    default: 'lots',
    pattern: '^[a-z0-9-]{1,64}$',
    description: 'the city in the address of its feed',
  }),
  feedCityName: Type.String({
    default: 'Lots',
    minLength: 1,
    maxLength: 200,
    description: 'the city, for people',
  }),
  feedSource: Type.String({
    default: '',
    maxLength: 1000,
    description: 'an address where people read about the data of the feed',
  }),
}
