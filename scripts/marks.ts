/** The parts of a page that are written from the code: between `<!-- name -->` and `<!-- /name -->`. Pure. */

/** @throws when the page has no such part */
export function fillMarked(page: string, name: string, content: string): string {
  const part = new RegExp(`<!-- ${name} -->.*?<!-- /${name} -->`, 's')
  if (!part.test(page)) throw new Error(`the page has no <!-- ${name} --> … <!-- /${name} -->`)
  return page.replace(part, () => `<!-- ${name} -->\n${content}\n<!-- /${name} -->`)
}

/** @param rows the head first */
export function markdownTable([head = [], ...rows]: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
