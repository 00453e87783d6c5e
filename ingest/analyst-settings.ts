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
}
