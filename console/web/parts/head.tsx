/** The head of a page: its title, which the window has too and which gets the focus, and what can be done here. */
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'

export function Head({
  title,
  about,
  children,
}: {
  title: string
  about?: ComponentChildren
  children?: ComponentChildren
}) {
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    document.title = `${title} · Lotwatch`
    // Whoever follows a link with a screen reader hears where they are; on the first page they are there already.
    if (document.activeElement?.tagName === 'A') heading.current?.focus()
  }, [title])
  return (
    <header class="head">
      <div>
        <h1 tabIndex={-1} ref={heading}>
          {title}
        </h1>
        {about !== undefined && <p>{about}</p>}
      </div>
      {children !== undefined && <div class="row no-print">{children}</div>}
    </header>
  )
}
