/** What mail programs write before the sender, in the languages they speak: a header block of quoted or forwarded mail begins with it. */
const FROM =
  'from|von|de|da|van|od|fra|från|frá|lähettäjä|saatja|feladó|expeditor(?:ul)?|de la|mittente|nadawca|отправитель|от|від|від кого|kimden|gönderen|από|šalje|pošiljatelj|no|nuo|siuntėjas|発信者|差出人|送信者|送信元|发件人|寄件者|寄件人|보낸 사람|보낸사람|من|מאת';
/** …before the rest of such a block: date, recipients, copies, subject, where answers go. */
const OTHERS =
  'date|sent|to|cc|bcc|subject|reply-to|importance|datum|gesendet|an|kopie|betreff|antwort an|envoyé|à|pour|objet|sujet|copie à|répondre à|fecha|enviado(?: el)?|para|asunto|data|inviato|a|oggetto|verzonden|aan|onderwerp|dato|sendt|til|emne|kopi|skickat|till|ämne|kopia|päivämäärä|päiväys|lähetetty|vastaanottaja|aihe|kopio|dátum|elküldve|címzett|tárgy|másolat(?:ot kap)?|dată|trimis|către|destinatar(?:ul)?|subiect(?:ul)?|wysłano|do|adresat|temat|dw|odesláno|komu|předmět|odoslané|predmet|kópia|дата|отправлено|кому|тема|копия|надіслано|відправлено|копія|tarih|gönderilen|gönderildi|kime|konu|bilgi|enviada(?: em)?|assunto|ημερομηνία|προς|θέμα|naslov|prima|送信日時|日時|日付|宛先|送信先|件名|发送时间|发送日期|收件人|抄送|主题|寄件日期|收件者|主旨|보낸 날짜|받는 사람|제목|תאריך|אל|נושא|التاريخ|إلى|الموضوع';

/** "From: …" as a line of its own, quote marks and bold marks before it left aside. Its last group: what stands behind the colon. */
const FROM_LINE = new RegExp(`^[>\\s*]{0,20}(?:${FROM})\\s{0,2}\\*?\\s?[:：]\\*?(.*)$`, 'iu');
const OTHER_LINE = new RegExp(`^[>\\s*]{0,20}(?:${OTHERS})\\s{0,2}\\*?\\s?[:：]\\*?`, 'iu');
/** Lines between the labels that belong to the one above: long lists of recipients. */
const MOST_BETWEEN = 12;

/** Whether a line names a sender, as the first line of a header block does. */
export function isFromLine(line: string): boolean {
  return line.length <= 1_000 && FROM_LINE.test(line);
}

/** Whether a line has one of the labels of a header block, the sender's among them. */
export function isLabelLine(line: string): boolean {
  return isFromLine(line) || OTHER_LINE.test(line.slice(0, 200));
}

/**
 * How many lines the header block has that begins at this line; 0: none begins there. A block names a sender, mostly first, and two more things;
 * a sentence that happens to begin with "From:" does not.
 */
export function headerBlockLength(lines: readonly string[], at: number): number {
  const first = lines[at] ?? '';
  let named = isFromLine(first);
  if (!named && !(OTHER_LINE.test(first.slice(0, 200)) && lines.slice(at + 1, at + 4).some(isFromLine))) return 0;
  let last = at;
  let labels = named ? 0 : 1;
  for (let line = at + 1; line < Math.min(lines.length, last + MOST_BETWEEN); line += 1) {
    const text = lines[line] ?? '';
    if (/^[>\s]*$/.test(text)) {
      // Some programs leave an empty line between the labels, and all do after them.
      if (labels < 2 && OTHER_LINE.test((lines[line + 1] ?? '').slice(0, 200))) continue;
      break;
    }
    if (!isLabelLine(text)) continue;
    if (isFromLine(text)) named = true;
    else labels += 1;
    last = line;
  }
  return named && labels >= 2 ? last - at + 1 : 0;
}
