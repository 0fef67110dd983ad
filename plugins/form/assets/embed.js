// @ts-check
// Puts the form where the script stands: <script src="…/embed.js" async></script>. With data-field-<name> a field is filled in, with data-title the frame is named.
(() => {
  const script = document.currentScript;
  if (!(script instanceof HTMLScriptElement)) return;
  const address = new URL('./', script.src);
  address.searchParams.set('_embed', '1');
  address.searchParams.set('_parent', location.origin);
  for (const { name, value } of script.attributes) if (name.startsWith('data-field-')) address.searchParams.set(name.slice(11), value);

  const frame = document.createElement('iframe');
  frame.src = address.href;
  frame.title = script.dataset.title ?? 'Contact form';
  frame.style.cssText = 'display:block;width:100%;height:480px;border:0;color-scheme:normal';
  script.after(frame);

  addEventListener('message', (event) => {
    // From our frame and from where it was loaded: another page in it, or another frame, is not listened to.
    if (event.source !== frame.contentWindow || event.origin !== address.origin) return;
    const { type, height, onwards } = event.data ?? {};
    if (type === 'trunkline:height' && height > 0 && height < 20_000) frame.style.height = `${height}px`;
    if (type === 'trunkline:top' || type === 'trunkline:sent') frame.scrollIntoView({ block: 'nearest' });
    if (type === 'trunkline:sent') {
      frame.dispatchEvent(new CustomEvent('trunkline:sent', { bubbles: true }));
      if (typeof onwards === 'string' && /^https?:\/\//.test(onwards)) location.assign(onwards);
    }
  });
})();
