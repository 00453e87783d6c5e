/** What a page says when there is nothing, when something failed, and while it waits. */
import type { ComponentChildren } from 'preact'
import type { Problem } from '../api.ts'
import type { Tone } from '../words.ts'

export function Fault({ problem, retry }: { problem: Problem | undefined; retry?: () => void }) {
  if (problem === undefined) return null
  return (
    <div class="fault" role="alert">
      <p class="what">{problem.message}</p>
      {problem.faults.length > 0 && (
        <ul class="small">
          {problem.faults.map((fault) => (
            <li key={fault}>{fault}</li>
          ))}
        </ul>
      )}
      <div class="row spread">
        <code class="soft">{problem.code}</code>
        {retry !== undefined && (
          <button type="button" onClick={() => retry()}>
            Try again
          </button>
        )}
      </div>
    </div>
  )
}

/** Teaches the next step. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  )
}

export function Waiting({ what }: { what: string }) {
  return (
    <p class="soft" role="status">
      Loading {what} …
    </p>
  )
}

export function Badge({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return <span class={`badge ${tone}`}>{children}</span>
}
