// @ts-check
// The form works without this. It says what is wrong before anything is sent, keeps a second click from sending twice, and tells the page around how high it is.
(() => {
  const { parent: around } = document.documentElement.dataset;
  const form = document.querySelector('form');
  const shown = document.querySelector('#errors');
  /** @type {HTMLElement | null} */
  const first = document.querySelector('[data-focus]');
  // There `autofocus` is refused.
  if (document.documentElement.classList.contains('embedded')) first?.focus();
  if (form !== null) watch(form);
  if (around !== undefined && window.parent !== window) tell(around);

  /** @param {HTMLFormElement} watched */
  function watch(watched) {
    let sending = false;
    const button = watched.querySelector('button');
    watched.noValidate = true;
    watched.addEventListener('submit', (event) => {
      const problems = [...watched.querySelectorAll('[data-field]')].flatMap((block) => check(block));
      if (sending || problems.length > 0) event.preventDefault();
      if (sending) return;
      summarise(watched, problems);
      if (problems.length > 0) return;
      sending = true;
      button?.setAttribute('aria-disabled', 'true');
    });
    // Come back to by the browser's own button.
    window.addEventListener('pageshow', () => {
      sending = false;
      button?.removeAttribute('aria-disabled');
    });
  }

  /**
   * @param {Element} block
   * @returns {{ id: string, text: string }[]}
   */
  function check(block) {
    /** @type {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement | null} */
    const control = block.querySelector('input, textarea, select');
    if (control === null) return [];
    const message = problem(control);
    const described = block.querySelector('fieldset') ?? control;
    let note = block.querySelector('.error');
    block.classList.toggle('wrong', message !== '');
    if (message === '') {
      note?.remove();
      control.removeAttribute('aria-invalid');
    } else {
      if (note === null) {
        note = document.createElement('p');
        note.className = 'error';
        note.id = `${control.id}-error`;
        (block.querySelector('.option') ?? control).before(note);
      }
      note.textContent = message;
      control.setAttribute('aria-invalid', 'true');
    }
    const notes = [...block.querySelectorAll('.help, .error')].map((one) => one.id).join(' ');
    if (notes === '') described.removeAttribute('aria-describedby');
    else described.setAttribute('aria-describedby', notes);
    const label = block.querySelector('legend, label')?.firstChild?.textContent?.trim() ?? '';
    return message === '' ? [] : [{ id: control.id, text: /[?:.!…]$/.test(label) ? `${label} ${message}` : `${label}: ${message}` }];
  }

  /**
   * In the words of the page.
   * @param {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} control
   */
  function problem(control) {
    const { validity, type } = control;
    if (control instanceof HTMLInputElement && control.files !== null) {
      const files = [...control.files];
      const most = Number(control.dataset.maxBytes);
      const large = files.find((file) => file.size > most);
      if (large !== undefined) return `${large.name} is larger than ${most / 1024 / 1024} MB.`;
      if (files.length > Number(control.dataset.maxFiles)) return `At most ${control.dataset.maxFiles} files.`;
    }
    if (validity.valueMissing) {
      if (type === 'file') return 'Choose a file.';
      if (type === 'checkbox') return 'Please tick this box.';
      return type === 'radio' || type === 'select-one' ? 'Choose one of the options.' : 'Please fill this in.';
    }
    if (validity.typeMismatch && type === 'email') return 'Enter an email address like name@example.com.';
    if (validity.badInput && type === 'number') return 'Enter a number.';
    if (validity.badInput && type === 'date') return 'Enter a date like 2026-01-31.';
    return control.validationMessage;
  }

  /**
   * @param {HTMLFormElement} watched
   * @param {{ id: string, text: string }[]} problems
   */
  function summarise(watched, problems) {
    document.querySelector('#errors')?.remove();
    if (problems.length === 0) return;
    const box = document.createElement('div');
    Object.assign(box, { className: 'summary', id: 'errors', tabIndex: -1 });
    box.setAttribute('role', 'alert');
    box.setAttribute('aria-labelledby', 'errors-title');
    const title = document.createElement('h2');
    Object.assign(title, { id: 'errors-title', textContent: 'There is a problem' });
    const list = document.createElement('ul');
    for (const { id, text } of problems) {
      const link = document.createElement('a');
      Object.assign(link, { href: `#${id}`, textContent: text });
      const item = document.createElement('li');
      item.append(link);
      list.append(item);
    }
    box.append(title, list);
    watched.before(box);
    box.focus();
  }

  /**
   * Only the site that the form's settings allow is told.
   * @param {string} origin
   */
  function tell(origin) {
    const height = () => window.parent.postMessage({ type: 'trunkline:height', height: Math.ceil(document.body.getBoundingClientRect().height) }, origin);
    new ResizeObserver(height).observe(document.body);
    height();
    if (form === null && shown === null && document.querySelector('[role=status]') !== null) {
      const onwards = document.querySelector('#onwards');
      window.parent.postMessage({ type: 'trunkline:sent', onwards: onwards instanceof HTMLAnchorElement ? onwards.href : null }, origin);
    } else if (shown !== null) {
      window.parent.postMessage({ type: 'trunkline:top' }, origin);
    }
  }
})();
