/** A secret, shown once: it can be copied and saved, and it goes only when somebody says that they have it. */
import type { ComponentChildren } from 'preact'
import { Copy } from './form.tsx'

export function Secret({
  title,
  text,
  fileName,
  children,
  done,
}: {
  title: string
  text: string
  /** Under which it is saved. */
  fileName?: string
  children?: ComponentChildren
  done: () => void
}) {
  return (
    <div class="secret">
      <h3>{title}</h3>
      <p>It is shown this once and kept nowhere: copy or save it now.</p>
      <pre>{text}</pre>
      {children}
      <div class="row">
        <Copy text={text} what="it" />
        {fileName !== undefined && (
          <button type="button" onClick={() => saveFile(fileName, text, 'application/json')}>
            Save as {fileName}
          </button>
        )}
        <button type="button" class="main" onClick={done}>
          I have saved it
        </button>
      </div>
    </div>
  )
}

export function saveFile(name: string, content: BlobPart, type: string): void {
  const url = URL.createObjectURL(new Blob([content], { type }))
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  // The download has begun by then; at once would be too soon for some browsers.
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
