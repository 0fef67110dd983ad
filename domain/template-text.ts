/** A template's text with its parameters in place of `{{1}}`, `{{2}}`, …, as agents are shown it; the provider fills in its own. */
export function templateText(text: string, parameters: readonly string[]): string {
  return text.replaceAll(/\{\{\s*(\d{1,3})\s*\}\}/g, (place, number: string) => parameters[Number(number) - 1] ?? place);
}
