/**
 * QuickJS in WebAssembly, where rules run: no files, no network, no timers, limits on time and memory. Each run starts
 * from the same image of its memory, taken once after the rule was read, so nothing of one request is left for the next,
 * whatever the rule does to its globals; putting the image back costs a few microseconds.
 */
import variant from '@jitl/quickjs-singlefile-mjs-release-sync'
import {
  newQuickJSWASMModuleFromVariant,
  type QuickJSContext,
  type QuickJSHandle,
  type QuickJSRuntime,
} from 'quickjs-emscripten-core'
import { bodyOf, prelude } from './prelude.ts'
import type { Rule } from './rule.ts'

export interface Sandbox {
  /**
   * Reads a rule anew into a place of its own.
   * @returns what is wrong with it; undefined: it can be run
   */
  load(place: number, rule: Rule): string | undefined
  /**
   * @param input JSON
   * @returns JSON, as the rule made it
   * @throws Error with a text for operators, when the rule took too much
   */
  run(place: number, input: string): string
  /** Its memory is not what it should be: to be thrown away. */
  readonly isSpent: boolean
}

export interface SandboxLimits {
  /** Of one run, or of reading one rule. */
  readonly timeMs: number
  readonly memoryBytes: number
}

/** Of what QuickJS may use, well below what V8 gives to a thread. */
const stackBytes = 256 * 1024
const answerCharsMax = 64 * 1024
const jobsAtOnce = 1000
const pageBytes = 4096

type Memory = { readonly buffer: ArrayBufferLike }

/** What is not zero, page by page: about 180 KB. The stack is among the rest; nothing below its end is ever read. */
type Image = readonly (readonly [offset: number, bytes: Uint8Array])[]

export async function openSandbox({ timeMs, memoryBytes }: SandboxLimits): Promise<Sandbox> {
  const quickjs = await newQuickJSWASMModuleFromVariant(variant)
  const memory = quickjs.getWasmMemory()
  const sizeAtFirst = memory.buffer.byteLength
  const runtime = quickjs.newRuntime()
  runtime.setMemoryLimit(memoryBytes)
  runtime.setMaxStackSize(stackBytes)
  let endMs = Number.POSITIVE_INFINITY
  const isOver = () => performance.now() > endMs
  runtime.setInterruptHandler(isOver)
  const context = runtime.newContext()
  const calls = context.unwrapResult(context.evalCode(prelude, 'prelude.js'))
  const call = (name: string) => context.getProp(calls, name)
  const [loadCall, runCall, takeCall] = [call('load'), call('run'), call('take')]
  const base = imageOf(memory)
  const images: Image[] = []
  let isSpent = false

  /** Whatever is thrown out of WebAssembly itself leaves its stack where it was. */
  function within<T>(work: () => T): T {
    endMs = performance.now() + timeMs
    try {
      return work()
    } catch (error) {
      if (!(error instanceof RuleStopped)) isSpent = true
      if (isOver()) throw new RuleStopped(`it took longer than ${timeMs} ms`)
      throw error instanceof RuleStopped ? error : new RuleStopped('it broke the sandbox')
    } finally {
      endMs = Number.POSITIVE_INFINITY
      if (memory.buffer.byteLength !== sizeAtFirst) isSpent = true
    }
  }

  function callInside(callee: QuickJSHandle, ...args: QuickJSHandle[]): QuickJSHandle {
    const result = context.callFunction(callee, context.undefined, ...args)
    if (result.error === undefined) return result.value
    throw new RuleStopped(textOf(context, result.error))
  }

  // No handle is given back: with the next image, all that a run has made was never there.
  return {
    load(place, { name, shape, source }) {
      restore(memory, base)
      try {
        const fault = within(() => {
          const body = context.evalCode(bodyOf(shape, source), name)
          if (body.error !== undefined) throw new RuleStopped(textOf(context, body.error))
          const told = callInside(loadCall, context.newString(shape), body.value)
          drain(runtime, isOver)
          return context.getString(told)
        })
        images[place] = imageOf(memory)
        return fault === '' ? undefined : fault
      } catch (error) {
        return (error as Error).message // RuleStopped
      }
    },
    run(place, input) {
      const image = images[place]
      if (image === undefined) throw new Error('a rule that was not loaded')
      restore(memory, image)
      return within(() => {
        callInside(runCall, context.newString(input))
        drain(runtime, isOver)
        const answer = context.getString(callInside(takeCall))
        if (answer.length > answerCharsMax) throw new RuleStopped('its answer is too long')
        return answer
      })
    },
    get isSpent() {
      return isSpent
    },
  }
}

/** The text is for operators. */
class RuleStopped extends Error {}

/** Promises go on until there are none. */
function drain(runtime: QuickJSRuntime, isOver: () => boolean): void {
  while (runtime.hasPendingJob()) {
    const done = runtime.executePendingJobs(jobsAtOnce)
    // A job that throws is one that was stopped: rejected promises are no errors here.
    if (done.error !== undefined || isOver()) throw new RuleStopped('it did not come to an end')
  }
}

function textOf(context: QuickJSContext, error: QuickJSHandle): string {
  const { name, message, stack } = context.dump(error) as Partial<
    Record<'name' | 'message' | 'stack', unknown>
  >
  const at = /([^\s()]+:\d+)(:\d+)?/.exec(String(stack ?? ''))?.[1]
  return `${String(name ?? 'error')}: ${String(message ?? '')}${at === undefined ? '' : ` (${at})`}`.slice(
    0,
    500,
  )
}

function imageOf({ buffer }: Memory): Image {
  const zeros = Buffer.alloc(pageBytes)
  const image: [number, Uint8Array][] = []
  let from = -1
  for (let offset = 0; offset <= buffer.byteLength; offset += pageBytes) {
    const isUsed = offset < buffer.byteLength && !Buffer.from(buffer, offset, pageBytes).equals(zeros)
    if (isUsed && from < 0) from = offset
    if (isUsed || from < 0) continue
    image.push([from, new Uint8Array(buffer).slice(from, offset)])
    from = -1
  }
  return image
}

function restore({ buffer }: Memory, image: Image): void {
  const bytes = new Uint8Array(buffer)
  for (const [offset, saved] of image) bytes.set(saved, offset)
}
